package memories

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/perfscope/perfscope/pkg/inference"
)

// Of says whose memory one is.
type Of struct {
	// Namespace, Name and Environment are service.namespace, service.name and
	// deployment.environment.name.
	Namespace   string `json:"namespace,omitempty"`
	Name        string `json:"name"`
	Environment string `json:"environment,omitempty"`
	// Program is the name of its program's file, without a version: a service may have
	// several programs, which are no builds of each other.
	Program string `json:"program,omitempty"`
	// Version is service.version, Build the build id of the program, Image the container
	// image; any may be empty.
	Version string `json:"version,omitempty"`
	Build   string `json:"build,omitempty"`
	Image   string `json:"image,omitempty"`
	// Role tells apart instances of the service that do different things.
	Role string `json:"role,omitempty"`
}

// Service is the same without its build and role.
func (o Of) Service() Of {
	return Of{Namespace: o.Namespace, Name: o.Name, Environment: o.Environment, Program: o.Program}
}

// Release is the same without its role.
func (o Of) Release() Of {
	o.Role = ""
	return o
}

// SameBuild reports whether both are of one build of one service. An image that is not
// known is any: its name comes from the cluster, and may come late.
func (o Of) SameBuild(other Of) bool {
	if o.Image == "" || other.Image == "" {
		o.Image, other.Image = "", ""
	}
	return o.Release() == other.Release()
}

// key is what the memory is stored under.
func (o Of) key() string {
	parts := []string{o.Namespace, o.Name, o.Environment, o.Program, o.Version, o.Build}
	if o.Image != "" || o.Role != "" {
		parts = append(parts, o.Image, o.Role) // what was stored before there were such stays where it is
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "memory." + hex.EncodeToString(sum[:16])
}

// nearness is how good the memory of another is for one of the same service: that of its
// role comes before that of its build.
func (o Of) nearness(other Of) (n int) {
	if o.Role == other.Role {
		n += 2
	}
	if o.SameBuild(other) {
		n++
	}
	return n
}

// version is what a file's name has after that of its program.
var version = regexp.MustCompile(`[-_.]?v?[0-9][-_.0-9A-Za-z]*$`)

// ProgramOf is the name of a program without the version that its file's name may have:
// nats-server of nats-server-v2.10.1.
func ProgramOf(file string) string {
	if name := version.ReplaceAllString(file, ""); name != "" {
		return name
	}
	return file
}

// entry is a memory that is stored.
type entry struct {
	Of
	Bytes int64 `json:"bytes"`
	// Kept is when it was written last, in seconds since the Unix epoch.
	Kept int64 `json:"kept"`
}

const (
	indexKey = "index"
	// maxEntries bounds the memories, whatever they take; maxIndex is the index of
	// them in bytes.
	maxEntries = 4096
	maxIndex   = 8 << 20
)

// index lists what is stored: a storage extension cannot be asked for that.
type index struct{ list []entry }

func readIndex(data []byte) (x index, err error) {
	if len(data) == 0 {
		return x, nil
	}
	if len(data) > maxIndex {
		return x, fmt.Errorf("the index of the memories has %d bytes, at most %d are read", len(data), maxIndex)
	}
	if err := json.Unmarshal(data, &x.list); err != nil {
		return index{}, fmt.Errorf("the index of the memories is damaged: %w", err)
	}
	if len(x.list) > maxEntries {
		return index{}, fmt.Errorf("the index lists %d memories, at most %d are kept", len(x.list), maxEntries)
	}
	for _, e := range x.list {
		if e.Bytes < 0 || e.Name == "" && e.Build == "" {
			return index{}, fmt.Errorf("the index of the memories is damaged: an entry of %q with %d bytes", e.Name, e.Bytes)
		}
	}
	return x, nil
}

func (x *index) write() ([]byte, error) { return json.Marshal(x.list) }

// put enters a memory that was written.
func (x *index) put(e entry) {
	x.drop(e.Of)
	x.list = append(x.list, e)
}

func (x *index) drop(of Of) {
	x.list = slices.DeleteFunc(x.list, func(o entry) bool { return o.Of == of })
}

func (x *index) has(of Of) bool {
	return slices.ContainsFunc(x.list, func(o entry) bool { return o.Of == of })
}

// nearest is the memory that one goes on from which has none of its own: the newest of
// those of its service that are nearest.
func (x *index) nearest(of Of) (best Of, found bool) {
	for _, e := range slices.Backward(x.list) {
		if e.Service() == of.Service() && (!found || of.nearness(e.Of) > of.nearness(best)) {
			best, found = e.Of, true
		}
	}
	return best, found
}

// over are the memories that have to go so that the others take at most so many bytes,
// and those of one build, whatever its roles, what one memory may take: those that were
// not written for longest.
func (x *index) over(most int64) (gone []Of) {
	sum, n := int64(0), 0
	build := map[Of]int64{}
	for _, e := range slices.Backward(x.list) {
		of := e.Release()
		if sum+e.Bytes > most || n >= maxEntries || build[of]+e.Bytes > max(inference.MaxMemory, e.Bytes) {
			gone = append(gone, e.Of)
			continue
		}
		n++
		sum += e.Bytes
		build[of] += e.Bytes
	}
	return gone
}
