// A turnstile's server: people pass, which a journal has, and are counted.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "journal.h"

class Turnstile {
 public:
	explicit Turnstile(const std::string &journal) : journal_(journal), passed_(64) {}

	std::string pass(int gate, int many) {
		std::vector<int> people;
		for (int i = 0; i < many; i++) people.push_back(gate * 1000 + i);
		journal_.pass(gate, people);
		passed_[gate % passed_.size()] += many;
		return "passed\n";
	}

	std::string count(int gate) {
		std::ostringstream text;
		for (int hour = 0; hour < 24; hour++) text << hour << ": " << (passed_[gate % passed_.size()] + hour * 7) % 90 << "\n";
		return text.str();
	}

	std::string answer(const std::string &path) {
		int gate = 0, many = 0;
		if (std::sscanf(path.c_str(), "/pass/%d/%d", &gate, &many) == 2) return pass(gate, many);
		if (std::sscanf(path.c_str(), "/gates/%d", &gate) == 1) return count(gate);
		return "a turnstile\n";
	}

	void serve(int connection) {
		std::string got;
		char buffer[4096];
		for (;;) {
			size_t end;
			while ((end = got.find("\r\n\r\n")) == std::string::npos) {
				ssize_t n = read(connection, buffer, sizeof buffer);
				if (n <= 0) {
					close(connection);
					return;
				}
				got.append(buffer, n);
			}
			std::istringstream request(got.substr(0, end));
			got.erase(0, end + 4);
			std::string method, path;
			request >> method >> path;
			std::string body = answer(path);
			std::string whole = "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
			if (write(connection, whole.data(), whole.size()) < 0) {
				close(connection);
				return;
			}
		}
	}

 private:
	Journal journal_;
	std::vector<std::atomic<long>> passed_;
};

int main(int argc, char **argv) {
	if (argc < 3) return 2;
	Turnstile turnstile(argv[2]);
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	sockaddr_in address{};
	address.sin_family = AF_INET;
	address.sin_port = htons(std::atoi(argv[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof address) || listen(listener, 64)) {
		std::perror("listen");
		return 1;
	}
	for (;;) {
		int connection = accept(listener, nullptr, nullptr);
		if (connection < 0) continue;
		setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		std::thread([&turnstile, connection] { turnstile.serve(connection); }).detach();
	}
}
