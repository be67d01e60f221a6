package trace

import (
	"bytes"
	"testing"
)

func TestShow(t *testing.T) {
	events := read(t, written(t, sample(RealRun)))
	for format, name := range map[string]string{"json": "sample.jsonl", "md": "run.md"} {
		var b bytes.Buffer
		if err := Show(&b, events, format, 0); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
	if err := Show(&bytes.Buffer{}, nil, "pdf", 0); err == nil || err.Error() != "format pdf: want one of text, sh, json, md" {
		t.Errorf("got %v", err)
	}
}
