package trace

// ReadOtherwise says what the script of b has read differently from that of a in the same step, which may be why the
// two differ. Its texts have passed [Quote].
func ReadOtherwise(a, b []Event) (lines []string) {
	type question struct{ step, by, of string }
	was := map[question][]string{}
	for _, e := range a {
		for _, r := range e.Read {
			q := question{e.Step, r.By, r.Of}
			was[q] = append(was[q], r.Is)
		}
	}
	for _, e := range b {
		for _, r := range e.Read {
			q := question{e.Step, r.By, r.Of}
			if len(was[q]) == 0 {
				continue
			}
			if want := was[q][0]; want != r.Is {
				lines = append(lines, Quote(r.String())+", was "+Quote(want))
			}
			was[q] = was[q][1:]
		}
	}
	return lines
}
