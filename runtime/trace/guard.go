package trace

import (
	"errors"
	"fmt"
	"reflect"
)

// ErrSecret is what a guard refuses with.
var ErrSecret = errors.New("a secret, or a piece of its placeholder, would be written down")

type guard struct{ leaks func(text string) bool }

// NewGuard returns a Sink that refuses an event if leaks reports that one of its
// texts leaks a secret. In a Tee it goes first: masking is done before, so what
// it finds is a fault of the program.
func NewGuard(leaks func(text string) bool) Sink { return &guard{leaks} }

// Emit returns ErrSecret if e leaks. The error does not say which text.
func (g *guard) Emit(e Event) error {
	if g.leaksIn(reflect.ValueOf(e)) {
		return fmt.Errorf("trace %s: %w", e.Kind, ErrSecret)
	}
	return nil
}

// leaksIn reports whether a text inside v leaks.
func (g *guard) leaksIn(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return g.leaks(v.String())
	case reflect.Pointer, reflect.Interface:
		return g.leaksIn(v.Elem())
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
			return g.leaks(string(v.Bytes()))
		}
		for i := range v.Len() {
			if g.leaksIn(v.Index(i)) {
				return true
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if g.leaksIn(it.Key()) || g.leaksIn(it.Value()) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && g.leaksIn(v.Field(i)) {
				return true
			}
		}
	}
	return false
}
