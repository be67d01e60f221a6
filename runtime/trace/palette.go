package trace

import "github.com/fatih/color"

// A palette paints text, or leaves it as it is. That depends on the argument of
// newPalette alone, not on the environment or on what standard output is.
type palette struct{ good, change, bad, dim, strong *color.Color }

func newPalette(on bool) palette {
	paint := func(attributes ...color.Attribute) *color.Color {
		c := color.New(attributes...)
		if c.DisableColor(); on {
			c.EnableColor()
		}
		return c
	}
	return palette{
		good:   paint(color.FgGreen),
		change: paint(color.FgYellow),
		bad:    paint(color.FgRed, color.Bold),
		dim:    paint(color.Faint),
		strong: paint(color.Bold),
	}
}

// of returns the colour of an outcome.
func (p palette) of(o Outcome) *color.Color {
	switch o {
	case Changed:
		return p.change
	case Failed, Interrupted:
		return p.bad
	case Skipped:
		return p.dim
	}
	return p.good
}
