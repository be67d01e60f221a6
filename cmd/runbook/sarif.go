package main

import (
	"net/url"
	"path/filepath"

	"runbook/runtime"
)

// diagnosticsSARIF prints diagnostics as SARIF 2.1.0, the format in which code hosts take findings of tools.
func (p *program) diagnosticsSARIF(all []runtime.Diagnostic, _ int) error {
	type object = map[string]any
	level := map[runtime.Severity]string{runtime.Wrong: "error", runtime.Doubtful: "warning"}
	rules, results, index := []object{}, []object{}, map[string]int{}
	for i, r := range runtime.Rules() {
		index[r.ID] = i
		rules = append(rules, object{"id": r.ID, "shortDescription": object{"text": r.Summary},
			"defaultConfiguration": object{"level": level[r.Severity]}})
	}
	for _, d := range all {
		place := object{"artifactLocation": object{"uri": fileURI(d.File)}}
		if d.Start.Line > 0 {
			place["region"] = object{"startLine": d.Start.Line, "startColumn": d.Start.Column,
				"endLine": d.End.Line, "endColumn": d.End.Column, "snippet": object{"text": d.Line}}
		}
		text := d.Message
		if d.Cure != "" {
			text += " (" + d.Cure + ")"
		}
		results = append(results, object{"ruleId": d.Rule, "ruleIndex": index[d.Rule], "level": level[d.Severity],
			"message": object{"text": text}, "locations": []object{{"physicalLocation": place}}})
	}
	driver := object{"name": "runbook", "version": version(), "rules": rules}
	return p.writeJSON(object{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs":    []object{{"tool": object{"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}},
	})
}

// fileURI is a file's name as a URI, relative if the name is.
func fileURI(name string) string {
	u := url.URL{Path: filepath.ToSlash(name)}
	if filepath.IsAbs(name) {
		u.Scheme = "file"
	}
	return u.String()
}
