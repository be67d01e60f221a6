package fetchtest

import (
	"net/http"
	"time"
)

// All returns every behaviour, parametrized ones with the usual values. Their
// names differ. Certificates and unreachable servers come besides: NewTLS, Refused.
func All() (all []Behaviour) {
	for _, code := range []int{204, 304, 400, 401, 403, 404, 407, 408, 410, 416, 425, 429, 451, 500, 502, 503, 504} {
		all = append(all, Status(code))
	}
	soon := time.Now().Add(time.Second).UTC().Format(http.TimeFormat)
	for _, after := range []string{"1", soon, "-5", "31536000", "99999999999999999999", "soon"} {
		all = append(all, Busy(429, after), Busy(503, after))
	}
	for _, code := range []int{301, 302, 303, 307, 308} {
		all = append(all, Redirect(code, "?again"))
	}
	return append(all,
		Page(), Problem(), PartUnasked(), StalledStatus(404), StalledStatus(503),
		Short(), Long(), Endless(), Zero(), Reset(), Cut(), ChunkCut(), BadChunk(), TwoLengths(), NegativeLength(),
		HugeLength(),
		Trickle(time.Second), Trickle(Stall/6), StallAt(0), StallAt(50), StallAt(99), Silent(),
		LongHeader(), ManyHeaders(), NULHeader(), NoHTTP(), Gzipped(), Wrong(),
		OldVersion("same"), OldVersion("new"), OldVersion("weak"),
		WholeAsRest(), PlainRest(), RestOffByOne(), RestMislabelled(), RestOfAnother(), Multipart(), NoRest(),
		GoAway(), ClosedOnReuse(), After(Stall/3),
	)
}
