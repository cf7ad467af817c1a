package otlpprofile

import (
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perfscope/perfscope/internal/profile"
)

// ProcessOf reads who a process is from its resource.
func ProcessOf(attrs pcommon.Map) profile.Process {
	text := func(key string) string {
		if v, ok := attrs.Get(key); ok {
			return v.AsString()
		}
		return ""
	}
	p := profile.Process{
		Executable: text("process.executable.path"), Container: text("container.id"), Service: text("service.name"), Host: text("host.id"),
	}
	if v, ok := attrs.Get("process.pid"); ok {
		p.PID, _ = strconv.ParseInt(v.AsString(), 10, 64) // some make a string of every attribute
	}
	p.Created, _ = time.Parse(time.RFC3339Nano, text("process.creation.time"))
	return p
}
