#pragma once

#include <fstream>
#include <mutex>
#include <string>
#include <vector>

// Journal is a file with a line for each person that passed a gate.
class Journal {
 public:
	explicit Journal(const std::string &path);
	void pass(int gate, const std::vector<int> &people);

 private:
	std::mutex mutex_;
	std::ofstream file_;
};
