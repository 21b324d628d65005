// Package test holds what is tested end to end: the program as people get it,
// in real terminals, against real servers, with another program at the other
// end; and the rules that no single package can see, such as who may import
// what. What drives servers and programs is in the packages below.
package test
