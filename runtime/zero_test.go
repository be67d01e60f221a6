package runtime_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"runbook/builtins"
	"runbook/runtime"
	"runbook/runtime/host"
)
