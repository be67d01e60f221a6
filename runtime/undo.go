package runtime

import (
	"runbook/runtime/host/before"
)

// noting notes what there is before an effect.
type noting func(*before.Keeper) before.Record

// was returns the function that notes what there is before one name is made, replaced or given another mode.
func (d *door) was(call, name string, content bool) noting {
	return func(k *before.Keeper) before.Record { return k.File(d.host, call, name, content) }
}

// remembered keeps what is there before an effect, which is about to be emitted, and returns its digest, if the run
// keeps such things.
func (r *Run) remembered(was noting) (sha256 string, err error) {
	if r.Before == nil {
		return "", nil
	}
	rec := was(r.Before)
	r.effects++
	rec.N = r.effects
	return r.Record(rec)
}
