package serve

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// A token is 128 random bits, so that its SHA-256 tells nobody what it is, and no slower hash is needed. It has only
// characters that conda takes for a token in a URL.
const tokenPrefix = "rb-"

// everyAccount and openTo stand in a file of tokens: for all accounts, and in place of a digest for everybody.
const (
	everyAccount = "*"
	openTo       = "open"
)

// NewToken returns a token for an account, and the line of a tokens file that admits it.
func NewToken(account string) (token, line string, err error) {
	if account != everyAccount && (hidden(account) || strings.ContainsFunc(account, notInNames)) {
		return "", "", &refusal{fmt.Sprintf("token: got the account %q", account),
			"it is the name of a directory of the mirror, or * for all of them"}
	}
	token = tokenPrefix + strings.ToLower(rand.Text())
	sum := sha256.Sum256([]byte(token))
	return token, account + " " + hex.EncodeToString(sum[:]), nil
}

func notInNames(r rune) bool { return r <= ' ' || r == 0x7f || r == '/' || r == '#' || r == '\\' }

// tokens say who may read which account. An account of which they say nothing is closed.
type tokens struct {
	open   map[string]bool
	hashed []hashed
}

type hashed struct {
	account string
	sum     [sha256.Size]byte
}

// readTokens reads a file whose lines are ACCOUNT SHA256, or ACCOUNT open; # begins a comment.
func readTokens(files []string) (*tokens, error) {
	name := files[0]
	fi, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if fi.Mode().Perm()&0o022 != 0 {
		return nil, &refusal{fmt.Sprintf("tokens %s: others can write it (mode %04o)", name, fi.Mode().Perm()),
			"chmod go-w " + name}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	t := &tokens{open: map[string]bool{}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if fields := strings.Fields(line); len(fields) > 0 && !t.take(fields) {
			return nil, &refusal{fmt.Sprintf("tokens %s:%d: want ACCOUNT SHA256 or ACCOUNT %s", name, n, openTo),
				"runbook serve token ACCOUNT makes a token and its line"}
		}
	}
	if len(t.open)+len(t.hashed) == 0 && lines.Err() == nil {
		return nil, &refusal{fmt.Sprintf("tokens %s: has no line, so that nobody could read anything", name),
			"runbook serve token ACCOUNT makes a token and its line"}
	}
	return t, lines.Err()
}

// take takes a line, of which nothing is said in an error: somebody may have put the token itself there.
func (t *tokens) take(fields []string) bool {
	if len(fields) != 2 {
		return false
	}
	if fields[1] == openTo {
		t.open[fields[0]] = true
		return true
	}
	sum, err := hex.DecodeString(fields[1])
	if err != nil || len(sum) != sha256.Size {
		return false
	}
	t.hashed = append(t.hashed, hashed{fields[0], [sha256.Size]byte(sum)})
	return true
}

// admit returns the status for who gives these tokens and wants an account, and how the log calls the token. All tokens
// take it the same time.
func (t *tokens) admit(account string, given []string) (code int, user string) {
	code = http.StatusUnauthorized
	if t.free(account) {
		code = http.StatusOK
	}
	for _, token := range given {
		sum := sha256.Sum256([]byte(token))
		for _, h := range t.hashed {
			if subtle.ConstantTimeCompare(h.sum[:], sum[:]) == 0 {
				continue
			}
			user = hex.EncodeToString(sum[:4])
			switch {
			case h.account == account || h.account == everyAccount:
				code = http.StatusOK
			case code == http.StatusUnauthorized:
				code = http.StatusForbidden
			}
		}
	}
	return code, user
}

// free reports whether everybody may read an account.
func (t *tokens) free(account string) bool { return t.open[account] || t.open[everyAccount] }

// knows reports whether a text is one of the tokens.
func (t *tokens) knows(text string) bool {
	_, user := t.admit("", []string{text})
	return user != ""
}

// given returns the tokens that a request brings: in its path, as bearer (or "token", as anaconda-client says), or as
// the password or name of basic authentication.
func given(r *http.Request, q *query) (all []string) {
	if q.token != "" {
		all = append(all, q.token)
	}
	if name, password, ok := r.BasicAuth(); ok {
		if password == "" {
			password = name
		}
		return append(all, password)
	}
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(kind, "bearer") || strings.EqualFold(kind, "token") {
		all = append(all, strings.TrimSpace(token))
	}
	return all
}
