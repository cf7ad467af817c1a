// Package sharing gives the pipelines of one component ID, which the Collector
// creates with one and the same *Config, one engine. The engine runs while at
// least one of them does, in whatever order they come and go.
package sharing

import "sync"

// Engine is what pipelines share.
type Engine interface {
	Start()
	// Stop is called when no pipeline uses the engine any more.
	Stop()
}

// Engines are the running engines of one kind of component, by configuration.
// It is safe for concurrent use.
type Engines[C comparable, E Engine] struct {
	mu       sync.Mutex
	byConfig map[C]*entry[E]
}

type entry[E Engine] struct {
	engine E
	users  int
}

// Acquire gives the engine of a configuration, started; make makes it for the
// first user. Each Acquire needs a Release.
func (s *Engines[C, E]) Acquire(cfg C, newEngine func() (E, error)) (E, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shared := s.byConfig[cfg]
	if shared == nil {
		e, err := newEngine()
		if err != nil {
			return e, err
		}
		e.Start()
		if s.byConfig == nil {
			s.byConfig = map[C]*entry[E]{}
		}
		shared = &entry[E]{engine: e}
		s.byConfig[cfg] = shared
	}
	shared.users++
	return shared.engine, nil
}

// Release gives an engine back; the last one to do so stops it.
func (s *Engines[C, E]) Release(cfg C) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shared := s.byConfig[cfg]
	if shared == nil {
		return
	}
	if shared.users--; shared.users == 0 {
		delete(s.byConfig, cfg)
		shared.engine.Stop()
	}
}

// Len is the number of engines that run.
func (s *Engines[C, E]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byConfig)
}
