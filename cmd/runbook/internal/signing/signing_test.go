package signing

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
)

// A bench is a directory with keys that the real ssh-keygen has made.
type bench struct {
	*testing.T
	dir string
}

func newBench(t *testing.T, keys ...string) bench {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		lab.Skip(t, "no ssh-keygen")
	}
	b := bench{t, t.TempDir()}
	for _, k := range keys {
		name, kind, _ := strings.Cut(k, ":")
		args := append([]string{"-q", "-N", "", "-C", name, "-f", name, "-t"}, strings.Fields(kind)...)
		b.keygen(nil, args...)
	}
	return b
}

// keygen runs ssh-keygen and reports whether it is content.
func (b bench) keygen(stdin []byte, args ...string) (said string, ok bool) {
	cmd := exec.Command("ssh-keygen", args...)
	cmd.Dir, cmd.Stdin, cmd.Env = b.dir, bytes.NewReader(stdin), append(os.Environ(), "TZ=UTC")
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func (b bench) read(name string) []byte {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		b.Fatal(err)
	}
	return text
}

func (b bench) write(name string, text []byte) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), text, 0o600); err != nil {
		b.Fatal(err)
	}
}

func (b bench) public(name string) Public {
	b.Helper()
	p, ok := PublicKey(b.read(name + ".pub"))
	if !ok {
		b.Fatalf("%s.pub cannot be read", name)
	}
	return p
}

func (b bench) key(name string) Key {
	b.Helper()
	k, err := PrivateKey(b.read(name), nil)
	if err != nil {
		b.Fatal(err)
	}
	return k
}

// Each file of signers, for each of two keys, two namespaces and three times, is judged as ssh-keygen judges it; or it is
// refused as a whole, where ssh-keygen only leaves out the line.
func TestSignersAsKeygen(t *testing.T) {
	time.Local = time.UTC
	b := newBench(t, "ed:ed25519", "ec:ecdsa -b 384")
	ed, ec := strings.TrimSpace(string(b.read("ed.pub"))), strings.TrimSpace(string(b.read("ec.pub")))
	message := []byte("message\n")
	for _, key := range []string{"ed", "ec"} {
		for _, space := range []string{"runbook-trace", "file"} {
			sig, err := b.key(key).Sign(space, message)
			if err != nil {
				t.Fatal(err)
			}
			b.write(key+"-"+space+".sig", sig)
		}
	}
	seen := map[bool]int{}
	for i, c := range []struct {
		text    string
		refused bool // as a whole
	}{
		{"who " + ed, false},
		{"who\t" + ed, false},
		{"  who   " + ed + "  ", false},
		{"# remark\n\nwho " + ed + "\nwho " + ec + "\n", false},
		{"a,who,b " + ed, false},
		{`"who" ` + ed, false},
		{`"a,who" namespaces="runbook-trace" ` + ed, false},
		{"wh* " + ed, false},
		{"* " + ed + "\n* " + ec, false},
		{"who " + strings.Join(strings.Fields(ed)[:2], " "), false},
		{`who namespaces="file" ` + ed, false},
		{`who namespaces="runbook-*" ` + ed, false},
		{`who namespaces="*" ` + ed, false},
		{`who namespaces="runbook-?race" ` + ed, false},
		{`who namespaces="*,!file" ` + ed, false},
		{`who namespaces="!file,*" ` + ed, false},
		{`who namespaces="!file" ` + ed, false},
		{`who namespaces="[rf]*" ` + ed, false},
		{`who namespaces="git,file" ` + ed + "\nwho namespaces=\"runbook-trace\" " + ed, false},
		{`who NAMESPACES="file" ` + ed, false},
		{`who valid-before="20300101" ` + ed, false},
		{`who valid-before="20200101" ` + ed, false},
		{`who valid-after="20200101" ` + ed, false},
		{`who valid-after="20200101Z" ` + ed, false},
		{`who valid-after="202401010000" ` + ed, false},
		{`who valid-after="20240101000000Z" ` + ed, false},
		{`who valid-after="20240101000001Z" ` + ed, false},
		{`who valid-before="20240101" ` + ed, false},
		{`who valid-before="20240101000001" ` + ed, false},
		{`who valid-after="20200101",valid-before="20250101",namespaces="file" ` + ed, false},
		{`who valid-before="20200101" ` + ed + "\nwho " + ed, false},
		{`who cert-authority ` + ed, false},
		{`who cert-authority,namespaces="file" ` + ed, false},

		{"who " + ed + "\nwho ssh-ed25519 AAAA", true},
		{"who " + ed + "\nwho", true},
		{`who frobnicate ` + ed, true},
		{`who frobnicate="1" ` + ed, true},
		{`who valid-after="soon" ` + ed, true},
		{`who valid-after="2024" ` + ed, true},
		{`who valid-after="20241301" ` + ed, true},
		{`who namespaces="" ` + ed, true},
		{`who namespaces="file ` + ed, true},
		{`"who ` + ed, true},
		{"who ssh-rsa " + strings.Fields(ed)[1], true},
		{"@revoked who " + ed, true},
		{ed, true},
		{"", true},
		{"# nobody\n", true},
	} {
		name := fmt.Sprintf("signers%d", i)
		b.write(name, []byte(c.text))
		signers, err := ParseSigners([]byte(c.text))
		if refused := err != nil; refused != c.refused {
			t.Errorf("%q: got error %v, want one: %t", c.text, err, c.refused)
		}
		if err != nil {
			continue
		}
		for _, key := range []string{"ed", "ec"} {
			for _, space := range []string{"runbook-trace", "file"} {
				for _, at := range []string{"20190101000000Z", "20240101000000Z", "20290101000000Z"} {
					said, want := b.keygen(message, "-Y", "verify", "-f", name, "-I", "who", "-n", space, "-O", "verify-time="+at,
						"-s", key+"-"+space+".sig")
					when, err := keyTime(at)
					if err != nil {
						t.Fatal(err)
					}
					_, err = signers.Who(b.public(key), space, when)
					if have := err == nil; have != want {
						t.Errorf("%q: key %s for %s at %s: got %v, ssh-keygen says %s", c.text, key, space, at, err, said)
					}
					seen[want]++
				}
			}
		}
	}
	if seen[true] < 50 || seen[false] < 50 {
		t.Errorf("of all verdicts %d were yes and %d no: too few to compare", seen[true], seen[false])
	}
}

// What is signed here is accepted by ssh-keygen, and what it signs is accepted here, for each kind of key; a message,
// namespace or byte that is another is not.
func TestSignatures(t *testing.T) {
	b := newBench(t, "ed:ed25519", "p256:ecdsa -b 256", "p384:ecdsa -b 384", "p521:ecdsa -b 521", "rsa:rsa -b 2048",
		"weak:rsa -b 1024")
	message := []byte("what is signed\n")
	b.write("message", message)
	for _, name := range []string{"ed", "p256", "p384", "p521", "rsa"} {
		sig, err := b.key(name).Sign("runbook-trace", message)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b.write("ours.sig", sig)
		b.write("signers", append([]byte("who "), b.read(name+".pub")...))
		if said, ok := b.keygen(message, "-Y", "verify", "-f", "signers", "-I", "who", "-n", "runbook-trace", "-s", "ours.sig"); !ok {
			t.Errorf("%s: ssh-keygen says %s", name, said)
		}
		os.Remove(filepath.Join(b.dir, "message.sig"))
		if said, ok := b.keygen(nil, "-q", "-Y", "sign", "-f", name, "-n", "runbook-trace", "message"); !ok {
			t.Fatal(said)
		}
		theirs := b.read("message.sig")
		s, err := Parse(theirs)
		if err != nil || !s.Key().Is(b.public(name)) || s.Verify("runbook-trace", message) != nil {
			t.Errorf("%s: what ssh-keygen signed is refused: %v", name, err)
			continue
		}
		if s.Verify("runbook-approval", message) == nil || s.Verify("runbook-trace", message[1:]) == nil {
			t.Errorf("%s: accepted for another namespace or message", name)
		}
		for i := range theirs {
			changed := bytes.Clone(theirs)
			changed[i] ^= 1 << (i % 7)
			s, err := Parse(changed)
			if err == nil && s.Key().Is(b.public(name)) && s.Verify("runbook-trace", message) == nil && !sameBytes(theirs, changed) {
				t.Errorf("%s: accepted with byte %d changed", name, i)
			}
		}
	}
	b.keygen(nil, "-q", "-Y", "sign", "-f", "weak", "-n", "runbook-trace", "message")
	if _, err := b.key("weak").Sign("runbook-trace", message); err == nil {
		t.Error("an RSA key of 1024 bits signs")
	}
}

// sameBytes reports whether two armored signatures hold the same: what differs is white space, or bits of base 64 that
// stand for nothing.
func sameBytes(a, b []byte) bool {
	one, _ := pem.Decode(a)
	other, _ := pem.Decode(append(bytes.TrimSpace(b), '\n')) // white space around it means nothing
	return one != nil && other != nil && bytes.Equal(one.Bytes, other.Bytes)
}

// A signature by a certificate is not taken for one by its key, even if the key is listed.
func TestCertificate(t *testing.T) {
	b := newBench(t, "ca:ed25519", "ed:ed25519")
	if said, ok := b.keygen(nil, "-q", "-s", "ca", "-I", "x", "-n", "who", "ed.pub"); !ok {
		t.Fatal(said)
	}
	b.write("message", []byte("x\n"))
	if said, ok := b.keygen(nil, "-q", "-Y", "sign", "-f", "ed-cert.pub", "-n", "runbook-trace", "message"); !ok {
		t.Fatal(said)
	}
	s, err := Parse(b.read("message.sig"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify("runbook-trace", []byte("x\n")); err == nil || !strings.Contains(err.Error(), "is a certificate") {
		t.Errorf("got %v, want that it is a certificate", err)
	}
}

// A list of revoked keys has those keys, in each form in which one is written.
func TestRevoked(t *testing.T) {
	b := newBench(t, "one:ed25519", "two:ed25519", "ca:ed25519")
	one, two := string(b.read("one.pub")), string(b.read("two.pub"))
	b.write("sha1", []byte("sha1: "+one))
	b.write("sha256", []byte("sha256: "+one))
	b.write("hash", []byte("hash: "+b.public("one").String()+"\n"))
	for _, file := range []string{"one.pub", "sha1", "sha256", "hash"} {
		if said, ok := b.keygen(nil, "-q", "-k", "-f", file+".krl", file); !ok {
			t.Fatal(said)
		}
		b.both(file+".krl", b.read(file+".krl"))
	}
	if said, ok := b.keygen(nil, "-q", "-s", "ca", "-I", "x", "-n", "who", "two.pub"); !ok {
		t.Fatal(said)
	}
	if said, ok := b.keygen(nil, "-q", "-k", "-f", "all.krl", "-s", "ca.pub", "one.pub", "two-cert.pub"); !ok {
		t.Fatal(said)
	}
	b.both("keys and certificates", b.read("all.krl"))
	b.both("text", []byte("# gone\n\n"+one))
	b.both("fingerprint", []byte(b.public("one").String()+" one, left in 2026\n"))
	krl := b.read("one.pub.krl")
	for n := range krl {
		if r, err := ParseRevoked(krl[:n]); err == nil && n > 0 && n != 44 && !r.Has(b.public("one")) {
			t.Errorf("a list that is cut off after %d of %d bytes revokes nothing, and nobody is told", n, len(krl))
		}
	}
	for _, text := range []string{"who " + two[:20], "SSHKRL\n\x00\x00\x00\x00\x02" + strings.Repeat("\x00", 32)} {
		if _, err := ParseRevoked([]byte(text)); err == nil {
			t.Errorf("%q: got no error", text)
		}
	}
}

// both checks that a list has the first key, and not the second.
func (b bench) both(what string, list []byte) {
	b.Helper()
	r, err := ParseRevoked(list)
	if err != nil || !r.Has(b.public("one")) || r.Has(b.public("two")) {
		b.Errorf("%s: got %v, has the key: %t, the other: %t", what, err, r.Has(b.public("one")), r.Has(b.public("two")))
	}
}

// FuzzRead reads what others have written: it may be refused, and nothing of it may be taken for a key that was never
// named.
func FuzzRead(f *testing.F) {
	const line = "who ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINNwMHM8lLcve+HMdKmjaanRnkdOE0Sm3ZUxkjv5LTgg"
	f.Add([]byte(line))
	f.Add([]byte(`who namespaces="a,!b",valid-after="20200101Z" ` + line[4:]))
	f.Add([]byte("SSHKRL\n\x00\x00\x00\x00\x01" + strings.Repeat("\x00", 32)))
	f.Add([]byte(Armor + "\nU1NIU0lHAAAAAQ==\n-----END SSH SIGNATURE-----\n"))
	other, ok := PublicKey([]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOrvP89uyupCbqyFcCz1nNtKuLT8YIUkj0Vhf/xYamSs x"))
	if !ok {
		f.Fatal("the key cannot be read")
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := ParseSigners(text); err == nil {
			if names, err := s.Who(other, "n", time.Unix(0, 0)); err == nil && !bytes.Contains(text, []byte("IOrvP89uyupCbq")) {
				t.Errorf("accepted for %q", names)
			}
		}
		if r, err := ParseRevoked(text); err == nil {
			r.Has(other)
		}
		if s, err := Parse(text); err == nil && s.Verify("n", nil) == nil && s.Key().Is(other) {
			t.Error("a signature that nobody made holds")
		}
	})
}
