// Package baseline knows what is normal for a service. It turns each hop into a
// vector over cells (a function on CPU, a function waiting in a call, a call that
// is refused) and says what the past hops and the present load let expect of each
// cell. It is the only normal in the project: what is expected, by how much it
// varies, and where threads wait for work all come from here.
package baseline
