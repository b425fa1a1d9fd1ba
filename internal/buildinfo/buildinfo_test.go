package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		info debug.BuildInfo
		want string
	}{
		{name: "nothing known", want: "kafkaesk (unknown version)"},
		{name: "installed", info: debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "v0.3.0"}},
			want: "kafkaesk v0.3.0, go1.26.8"},
		{name: "built in a work tree", info: debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "(devel)"},
			Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}},
			want: "kafkaesk (devel), commit abc (modified), go1.26.8"},
		{name: "a worker of another module", info: debug.BuildInfo{GoVersion: "go1.26.8",
			Main: debug.Module{Version: "v2.0.0"},
			Deps: []*debug.Module{{Path: "other", Version: "v9"}, {Path: module, Version: "v0.3.0"}}},
			want: "kafkaesk v2.0.0, kafkaesk v0.3.0, go1.26.8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := line("kafkaesk", &tt.info); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
