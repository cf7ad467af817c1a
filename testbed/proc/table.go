package proc

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Table is what /proc says of every process of the machine at one time.
type Table map[int]Entry

// Entry is one process of a Table.
type Entry struct {
	Parent int
	// CPU is what it used, with what its children that have ended used.
	CPU time.Duration
}

// ticksPerSecond is USER_HZ, the unit of /proc, the same on every architecture
// that this runs on.
const ticksPerSecond = 100

// ReadTable reads the table; a process that ends meanwhile is not in it.
func ReadTable() (Table, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	table := make(Table, len(files))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if e, ok := parseStat(string(data)); ok {
			table[pid] = e
		}
	}
	return table, nil
}

// parseStat reads "pid (name) state ppid …", proc_pid_stat(5); the name may hold
// anything.
func parseStat(line string) (Entry, bool) {
	end := strings.LastIndex(line, ") ")
	if end < 0 {
		return Entry{}, false
	}
	fields := strings.Fields(line[end+2:])
	if len(fields) < 15 {
		return Entry{}, false
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return Entry{}, false
	}
	var ticks int64
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return Entry{}, false
		}
		ticks += n
	}
	return Entry{Parent: parent, CPU: time.Duration(ticks) * time.Second / ticksPerSecond}, true
}

// Children are the children of each process that has any.
type Children map[int][]int

// Children turns the table round.
func (t Table) Children() Children {
	children := make(Children, len(t))
	for pid, e := range t {
		children[e.Parent] = append(children[e.Parent], pid)
	}
	return children
}

// Of are a process and everything that was forked from it and whose parents
// still run.
func (c Children) Of(root int) []int {
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, c[tree[i]]...)
	}
	return tree
}

// CPU is what some processes used.
func (t Table) CPU(pids []int) (used time.Duration) {
	for _, pid := range pids {
		used += t[pid].CPU
	}
	return used
}
