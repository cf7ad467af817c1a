package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/perfscope/perfscope/internal/memories"
	"github.com/perfscope/perfscope/pkg/inference"
)

// fromFolder are the memories of two builds of one service in a folder.
func fromFolder(directory string, o options) (before, after *inference.Memory, err error) {
	list, err := memories.List(directory)
	if err != nil {
		return nil, nil, err
	}
	pair, err := choose(list, o)
	if err != nil {
		return nil, nil, err
	}
	if before, err = pair[0].Read(); err != nil {
		return nil, nil, err
	}
	after, err = pair[1].Read()
	return before, after, err
}

// choose are two builds of one service in one role, the newest that fit what was asked
// for; else the error lists what there is.
func choose(list []memories.Stored, o options) (pair [2]memories.Stored, err error) {
	is := func(s memories.Stored, build string) bool {
		return build == "" || s.Version == build || s.Image == build || s.Build != "" && strings.HasPrefix(s.Build, build)
	}
	var services []memories.Of
	for _, after := range slices.Backward(list) {
		if o.service != "" && after.Name != o.service || !is(after, o.after) {
			continue
		}
		for _, before := range slices.Backward(list) {
			of := after.Service()
			if before.Service() != of || before.Role != after.Role || before.SameBuild(after.Of) || before.Kept > after.Kept || !is(before, o.before) {
				continue
			}
			if !slices.Contains(services, of) {
				services = append(services, of)
				pair = [2]memories.Stored{before, after}
			}
		}
	}
	switch len(services) {
	case 1:
		return pair, nil
	case 0:
		return pair, fmt.Errorf("there are no two builds of one service; there are\n%s", describe(list))
	}
	return pair, fmt.Errorf("several services have two builds; choose one by -service\n%s", describe(list))
}

func describe(list []memories.Stored) string {
	var b strings.Builder
	for i := range list {
		s := &list[i]
		fmt.Fprintf(&b, "  %s  %s", time.Unix(s.Kept, 0).UTC().Format(time.DateTime), s.Name)
		for _, x := range []struct{ what, is string }{
			{"in", s.Namespace}, {"in", s.Environment}, {"program", s.Program}, {"role", s.Role},
			{"version", s.Version}, {"build", s.Build}, {"image", s.Image},
		} {
			if x.is != "" {
				fmt.Fprintf(&b, " %s %s", x.what, x.is)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}
