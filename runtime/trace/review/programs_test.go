package review

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"runbook/runtime/trace"
)

// What Jenkins' and GitLab's readers of JUnit take: elements, the elements in them, and their attributes.
var junitShape = map[string]struct{ in, required, optional string }{
	"testsuites": {"", "name tests failures errors time", "skipped"},
	"testsuite":  {"testsuites", "name tests failures errors skipped time timestamp hostname", ""},
	"testcase":   {"testsuite", "name classname time", ""},
	"skipped":    {"testcase", "message", ""},
	"error":      {"testcase", "message", ""},
	"failure":    {"testcase", "message", ""},
	"system-out": {"testcase", "", ""},
}

func TestJUnit(t *testing.T) {
	for _, mode := range []string{trace.DryRun, trace.RealRun} {
		for _, s := range append(hostile(), "") {
			holdJUnit(t, reported(t, written(t, poisoned(mode, s)), "junit"))
		}
	}
	file := written(t, sample(trace.RealRun))
	whole := holdJUnit(t, reported(t, file, "junit"))
	if whole["failure"] != 1 || whole["skipped"] != 1 || whole["testsuite"] != 5 || whole["error"] != 0 {
		t.Errorf("got %v", whole)
	}
	cut := bytes.Join(bytes.SplitAfter(file, []byte("\n"))[:31], nil)
	if have := holdJUnit(t, reported(t, cut, "junit")); have["error"] != 1 {
		t.Errorf("of a trace that was cut off: got %v", have)
	}
}

// holdJUnit holds a document against the shape and its own counts, and counts its elements.
func holdJUnit(t *testing.T, text []byte) map[string]int {
	t.Helper()
	count, said := map[string]int{}, map[string]string{}
	var open []string
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		switch e := tok.(type) {
		case xml.StartElement:
			name := e.Name.Local
			shape, ok := junitShape[name]
			parent := ""
			if len(open) > 0 {
				parent = open[len(open)-1]
			}
			if !ok || parent != shape.in {
				t.Fatalf("%s stands in %q", name, parent)
			}
			var attrs []string
			for _, a := range e.Attr {
				attrs = append(attrs, a.Name.Local)
				if name == "testsuites" {
					said[a.Name.Local] = a.Value
				}
			}
			for _, want := range strings.Fields(shape.required) {
				if !slices.Contains(attrs, want) {
					t.Fatalf("%s lacks %s", name, want)
				}
			}
			for _, have := range attrs {
				if !slices.Contains(strings.Fields(shape.required+" "+shape.optional), have) {
					t.Fatalf("%s has %s", name, have)
				}
			}
			count[name]++
			open = append(open, name)
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
	for attr, element := range map[string]string{"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"} {
		if have, _ := json.Marshal(count[element]); string(have) != said[attr] {
			t.Fatalf("it says %s=%s, and has %s", attr, said[attr], have)
		}
	}
	return count
}

func TestInToto(t *testing.T) {
	file := written(t, sample(trace.RealRun))
	v, err := trace.Verify(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		PayloadType, Payload string
		Signatures           []any
	}
	if err := json.Unmarshal(reported(t, file, "intoto"), &e); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil || e.PayloadType != "application/vnd.in-toto+json" || e.Signatures == nil || len(e.Signatures) > 0 {
		t.Fatalf("got %+v, %v", e, err)
	}
	var s struct {
		Type    string `json:"_type"`
		Subject []struct {
			Name   string
			Digest map[string]string
		}
		PredicateType string
		Predicate     map[string]any
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		t.Fatal(err)
	}
	if s.Type != "https://in-toto.io/Statement/v1" || s.PredicateType != PredicateType || len(s.Subject) != 1 || s.Subject[0].Digest["sha256"] != v.Head {
		t.Errorf("got %s", payload)
	}
	if p := s.Predicate; p["outcome"] != "failed" || p["ticket"] != "CHG-4711" || p["requirementsMet"] != 9.0 || p["securityRelevant"].(map[string]any)["firewall"] != 1.0 {
		t.Errorf("got %s", payload)
	}
}

// The parts of OSCAL's assessment results that its schema requires, and how their texts look.
func TestOSCAL(t *testing.T) {
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	token := regexp.MustCompile(`^(\p{L}|_)(\p{L}|\p{N}|[.\-_])*$`)
	for _, mode := range []string{trace.DryRun, trace.RealRun} {
		text := reported(t, written(t, sample(mode)), "oscal")
		var doc struct {
			AR struct {
				UUID     string
				Metadata map[string]any
				ImportAP struct{ Href string } `json:"import-ap"`
				Results  []struct {
					UUID, Title, Description, Start string
					Reviewed                        struct {
						Selections []struct {
							Include []map[string]string `json:"include-controls"`
						} `json:"control-selections"`
					} `json:"reviewed-controls"`
					Observations []struct {
						UUID, Description, Collected string
						Methods                      []string
						Props                        []map[string]string
					}
					Findings []struct {
						UUID, Title, Description string
						Target                   struct {
							Type   string
							ID     string `json:"target-id"`
							Status struct{ State string }
						}
						Related []map[string]string `json:"related-observations"`
					}
				}
				Back struct{ Resources []map[string]any } `json:"back-matter"`
			} `json:"assessment-results"`
		}
		d := json.NewDecoder(bytes.NewReader(text))
		if err := d.Decode(&doc); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		ar := doc.AR
		for _, key := range []string{"title", "last-modified", "version", "oscal-version"} {
			if ar.Metadata[key] == nil {
				t.Errorf("metadata lacks %s", key)
			}
		}
		res := ar.Results[0]
		seen := map[string]bool{}
		id := func(what, s string) {
			if !uuid.MatchString(s) || seen[s] {
				t.Errorf("%s: got uuid %q, seen before: %v", what, s, seen[s])
			}
			seen[s] = true
		}
		id("document", ar.UUID)
		id("result", res.UUID)
		id("resource", ar.Back.Resources[0]["uuid"].(string))
		if ar.ImportAP.Href != "#"+ar.Back.Resources[0]["uuid"].(string) || res.Title == "" || res.Description == "" || res.Start == "" {
			t.Errorf("got %+v", ar)
		}
		var controls []string
		for _, c := range res.Reviewed.Selections[0].Include {
			controls = append(controls, c["control-id"])
			if !token.MatchString(c["control-id"]) {
				t.Errorf("control %q", c["control-id"])
			}
		}
		if !slices.Contains(controls, "cm-4.2") || !slices.Contains(controls, "sc-7") {
			t.Errorf("got controls %v", controls)
		}
		for _, o := range res.Observations {
			id("observation", o.UUID)
			if o.Description == "" || o.Collected == "" || len(o.Methods) == 0 {
				t.Errorf("got %+v", o)
			}
			for _, p := range o.Props {
				if !token.MatchString(p["name"]) || strings.TrimSpace(p["value"]) != p["value"] || p["value"] == "" {
					t.Errorf("got prop %v", p)
				}
			}
		}
		if n := len(res.Findings); (n > 0) == (mode == trace.DryRun) {
			t.Errorf("%s: %d findings", mode, n)
		}
		states := map[string]string{}
		for _, f := range res.Findings {
			id("finding", f.UUID)
			states[f.Title] = f.Target.Status.State
			for _, o := range f.Related {
				if !seen[o["observation-uuid"]] {
					t.Errorf("%s is related to %v, which is not there", f.Title, o)
				}
			}
		}
		if mode == trace.RealRun && (states["CM-3"] != "satisfied" || states["AC-2"] != "satisfied") {
			t.Errorf("got %v", states)
		}
	}
}

// A control whose step failed or was left out is not satisfied.
func TestControlsThatAreNotSatisfied(t *testing.T) {
	events := sample(trace.RealRun)
	for i := range events {
		switch {
		case events[i].Kind == trace.Step && events[i].State == trace.LeftOut:
			events[i].Controls = []string{"AU-2"}
		case events[i].Kind == trace.Step && events[i].Step == "tell":
			events[i].Controls = []string{"IR-6", "9.1 x"}
		}
	}
	text := string(reported(t, written(t, events), "oscal"))
	for _, want := range []string{`"description":"AU-2: step mail was left out"`, `"target-id":"ir-6_smt"`, `"target-id":"_9.1x_smt"`, `tell failed or has no end`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	if n := strings.Count(text, `"not-satisfied"`); n != 3 {
		t.Errorf("%d are not satisfied", n)
	}
}

// heedIDs moves each $ref that stands beside an $id below it: draft 7 ignores such an $id, to which others refer.
func heedIDs(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			heedIDs(e)
		}
	case map[string]any:
		if ref := v["$ref"]; ref != nil && v["$id"] != nil {
			delete(v, "$ref")
			v["allOf"] = []any{map[string]any{"$ref": ref}}
		}
		for _, e := range v {
			heedIDs(e)
		}
	}
}

// NIST's own schema, where somebody has it: oscal_assessment-results_schema.json of release 1.0.6.
func TestOSCALAgainstItsSchema(t *testing.T) {
	text, err := os.ReadFile(os.Getenv("RUNBOOK_TEST_OSCAL_SCHEMA"))
	if err != nil {
		t.Skip("NOT TESTED: RUNBOOK_TEST_OSCAL_SCHEMA names no schema of OSCAL: ", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	heedIDs(doc)
	c := jsonschema.NewCompiler()
	if err := c.AddResource("oscal.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("oscal.json")
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Replace(string(reported(t, written(t, sample(trace.RealRun)), "oscal")), `"methods":["TEST"]`, `"methods":[]`, 1)
	if have, err := jsonschema.UnmarshalJSON(strings.NewReader(wrong)); err != nil || schema.Validate(have) == nil {
		t.Errorf("an observation without a method is valid, %v", err)
	}
	for _, mode := range []string{trace.DryRun, trace.RealRun} {
		for _, s := range append(hostile(), "") {
			have, err := jsonschema.UnmarshalJSON(bytes.NewReader(reported(t, written(t, poisoned(mode, s)), "oscal")))
			if err == nil {
				err = schema.Validate(have)
			}
			if err != nil {
				t.Fatalf("%s with %q: %v", mode, s, err)
			}
		}
	}
}
