package serve

import (
	"strings"

	"runbook/cmd/runbook/internal/serve/pages"
)

// use returns the commands that make a channel known, and what to say of tokens.
func (v view) use(account string) ([]pages.Command, string) {
	at, token := v.address(account)
	return []pages.Command{
		{For: "conda", ID: "use-conda", Text: "conda config --add channels " + at},
		{For: "mamba", ID: "use-mamba", Text: "mamba config prepend channels " + at},
		{For: "pixi", ID: "use-pixi", Text: "pixi workspace channel add " + at},
		{For: ".condarc", ID: "use-condarc", Text: "channels:\n  - " + at},
	}, token
}

// install returns the commands that install a package, of one version unless that is "".
func (v view) install(account, name, version string) ([]pages.Command, string) {
	at, token := v.address(account)
	spec, pixi := shellWord(name), shellWord(name)
	if version != "" {
		spec, pixi = shellWord(name+"="+version), shellWord(name+"=="+version)
	}
	return []pages.Command{
		{For: "conda", ID: "install-conda", Text: "conda install -c " + at + " " + spec},
		{For: "mamba", ID: "install-mamba", Text: "mamba install -c " + at + " " + spec},
		{For: "pixi", ID: "install-pixi", Text: "pixi workspace channel add " + at + " && pixi add " + pixi},
	}, token
}

// shellWord quotes a text that a shell would not take for one word.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._+=-", r))
	}
	if text != "" && !strings.ContainsFunc(text, plain) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// address is the URL of a channel as the reader reached it, without the token, and what to say of that.
func (v view) address(account string) (at, token string) {
	scheme := "http"
	if v.r.TLS != nil || v.r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	host := v.r.Host
	if host == "" || strings.ContainsFunc(host, notInHost) {
		host = "HOST"
	}
	prefix := ""
	if v.tokens != nil && !v.tokens.get().free(account) {
		prefix, token = "/t/TOKEN", "Put your token in the place of TOKEN."
	}
	return scheme + "://" + host + prefix + "/" + escaped(account), token
}
