// Package frames turns user stacks into small integers and says what each stack
// tells: which of its functions can be held responsible, whether the thread is
// inside a lock, and where two stacks are of one place. It is the only part of
// the inference that looks at names.
package frames
