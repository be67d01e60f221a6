package fetch

import (
	"flag"
	"os"
	"testing"
)

// Most of what these tests do is waiting for servers, so many wait at once. A -parallel of the command line goes before
// this.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "4")
	os.Exit(m.Run())
}
