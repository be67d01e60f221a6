package trace

import (
	"errors"
	"fmt"
	"reflect"
)

// errSecret is what a Guard refuses with.
var errSecret = errors.New("a secret, or a piece of its placeholder, would be written down")

// Guard is a Sink that refuses an event in which some text leaks a secret.
// It is the last to look; in a Tee it goes first.
type guard struct{ leaks func(text string) bool }

// NewGuard returns a Guard that asks leaks about each text of an event.
func NewGuard(leaks func(text string) bool) Sink { return &guard{leaks} }

// Emit returns errSecret if e leaks. The error does not say what.
func (g *guard) Emit(e Event) error {
	if g.found(reflect.ValueOf(e)) {
		return fmt.Errorf("trace %s: %w", e.Kind, errSecret)
	}
	return nil
}

func (g *guard) found(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return g.leaks(v.String())
	case reflect.Pointer, reflect.Interface:
		return g.found(v.Elem())
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
			return g.leaks(string(v.Bytes()))
		}
		for i := range v.Len() {
			if g.found(v.Index(i)) {
				return true
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if g.found(it.Key()) || g.found(it.Value()) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && g.found(v.Field(i)) {
				return true
			}
		}
	}
	return false
}
