// Package pods tells the Kubernetes pods of containers on this node: from the
// names of the kubelet's log files, which needs no access to the cluster, or from
// the API server, which knows labels, too.
package pods

import (
	"context"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/internal/process"
)

// maxContainers bounds the containers held; a node has some hundreds.
const maxContainers = 8192

// Source lists the pods of the node.
type Source interface {
	List(ctx context.Context) (*Table, error)
}

// Table is what is known of the node at one time.
type Table struct {
	containers map[string]process.Pod // by container id
	pods       map[string]process.Pod // by pod uid, without a container's name
}

func newTable() *Table {
	return &Table{containers: map[string]process.Pod{}, pods: map[string]process.Pod{}}
}

func (t *Table) add(uid, containerID string, p process.Pod) {
	if len(t.containers) >= maxContainers || len(t.pods) >= maxContainers {
		return
	}
	if containerID != "" {
		t.containers[containerID] = p
	}
	if uid != "" {
		p.Container = ""
		t.pods[uid] = p
	}
}

// Len is the number of containers.
func (t *Table) Len() int { return len(t.containers) }

// Keeper keeps a table up to date.
type Keeper struct {
	source   Source
	interval time.Duration
	// failed gets the end of each attempt; nil is success.
	failed func(error)
	table  atomic.Pointer[Table]
}

// NewKeeper makes a Keeper that lists every interval; failed is told how each
// attempt ended.
func NewKeeper(source Source, interval time.Duration, failed func(error)) *Keeper {
	k := &Keeper{source: source, interval: interval, failed: failed}
	k.table.Store(newTable())
	return k
}

// Run lists until the context ends.
func (k *Keeper) Run(ctx context.Context) {
	ticker := time.NewTicker(k.interval)
	defer ticker.Stop()
	for {
		k.list(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (k *Keeper) list(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, max(k.interval, time.Second))
	defer cancel()
	table, err := k.source.List(ctx)
	if err == nil {
		k.table.Store(table) // what was known stays otherwise
	}
	k.failed(err)
}

// Pod tells the pod of a container, or, where only that is known, of a pod's uid.
func (k *Keeper) Pod(uid, containerID string) (process.Pod, bool) {
	table := k.table.Load()
	if p, known := table.containers[containerID]; known {
		return p, true
	}
	p, known := table.pods[uid]
	return p, known
}

// ofReplicaSet is a pod's name as a deployment's replica set makes it: the hash of
// the template, then a random suffix, of Kubernetes' safe letters.
var ofReplicaSet = regexp.MustCompile(`^(.+)-[bcdfghjklmnpqrstvwxz2456789]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}$`)

func deploymentOf(pod string) string {
	if m := ofReplicaSet.FindStringSubmatch(pod); m != nil {
		return m[1]
	}
	return ""
}
