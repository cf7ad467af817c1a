#include "journal.h"

#include <ostream>

Journal::Journal(const std::string &path) : file_(path, std::ios::app) {}

// The mistake: std::endl writes each line by a call of its own, with the lock held.
void Journal::pass(int gate, const std::vector<int> &people) {
	std::lock_guard<std::mutex> hold(mutex_);
	for (int person : people) file_ << gate << ' ' << person << std::endl;
}
