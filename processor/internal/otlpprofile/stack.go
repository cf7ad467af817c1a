package otlpprofile

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/perfscope/perfscope/internal/profile"
)

// kernel is the type of the frames of the kernel.
const kernel = "kernel"

// stack gives a stack of the dictionary, which is read once.
func (d *Decoder) stack(i int32) (*profile.Stack, string) {
	table := d.dict.StackTable()
	if i < 0 || int(i) >= table.Len() {
		return nil, ReasonIndex
	}
	if s, known := d.stacks[i]; known {
		return s, ""
	}
	s := &profile.Stack{}
	s.User.Complete = true
	for n, at := range table.At(int(i)).LocationIndices().All() {
		if n == maxDepth {
			s.User.Complete = false
			break
		}
		if at < 0 || int(at) >= d.dict.LocationTable().Len() {
			return nil, ReasonIndex
		}
		d.location(s, d.dict.LocationTable().At(int(at)))
		if d.frames > maxFrames {
			return nil, ReasonTooMany
		}
	}
	d.stacks[i] = s
	return s, ""
}

// location adds the functions at one place to a stack.
func (d *Decoder) location(s *profile.Stack, at pprofile.Location) {
	language := d.language(at)
	l := profile.Location{Language: language}
	if m := at.MappingIndex(); m >= 0 && int(m) < d.dict.MappingTable().Len() {
		l.Mapping = d.text(d.dict.MappingTable().At(int(m)).FilenameStrindex())
	}
	lines := min(at.Lines().Len(), maxLines)
	if lines == 0 && language != kernel {
		d.frames++
		s.User.Frames = append(s.User.Frames, l.Frame())
	}
	for i := range lines {
		line := at.Lines().At(i)
		if f := line.FunctionIndex(); f >= 0 && int(f) < d.dict.FunctionTable().Len() {
			function := d.dict.FunctionTable().At(int(f))
			l.Function, l.File = d.text(function.NameStrindex()), d.text(function.FilenameStrindex())
		}
		l.Line = line.Line()
		if language == kernel {
			s.AddKernel(l.Function)
			continue
		}
		d.frames++
		frame := l.Frame()
		frame.Inlined = i < lines-1 // into the next one
		s.User.Frames = append(s.User.Frames, frame)
	}
}

func (d *Decoder) language(at pprofile.Location) string {
	for _, i := range at.AttributeIndices().All() {
		if key, value, ok := d.attribute(i); ok && key == "profile.frame.type" && value.Type() == pcommon.ValueTypeStr {
			return value.Str()
		}
	}
	return ""
}
