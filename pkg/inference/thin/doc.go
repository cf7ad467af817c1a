// Package thin keeps of the records of a service what the inference sums up, and
// nothing else: for each interval of a second, say, the time of each thread at each
// stack, on CPU and waiting, and totals of the calls. From intervals of whole
// seconds the hops of an inference.Analyzer can be formed at any phase, and it finds
// in them what it finds in the records, which take thirty to a thousand times the room.
//
// Execution units, what signatures tell of calls, and trace contexts are not in it.
// All the text it has are the service's name and the names of functions and modules;
// threads, resources of the machine and neighbours are numbered as they come.
package thin
