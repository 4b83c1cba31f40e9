// A `gantry dev` of its own for a benchmark: a fresh data directory, a free port, killed and removed at the end.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "wire/hawk.h"

namespace gantry::bench {

class DevServer {
 public:
  /// `binary` is build/.../gantry; the program's own folder tells where that is.
  explicit DevServer(std::vector<std::string> arguments = {}) : arguments_(std::move(arguments)) {
    binary_ = (std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "gantry").string();
    char name[] = "bench-dev-XXXXXX";
    directory_ = std::filesystem::absolute(::mkdtemp(name)).string();
    start();
  }
  DevServer(const DevServer&) = delete;
  DevServer& operator=(const DevServer&) = delete;
  ~DevServer() {
    stop(SIGTERM);
    std::filesystem::remove_all(directory_);
  }

  /// Returns when the server answers; how long that took, in seconds.
  double start() {
    auto begin = std::chrono::steady_clock::now();
    std::filesystem::remove(directory_ + "/endpoint");
    process_ = ::fork();
    if (process_ == 0) {
      std::vector<std::string> words = {binary_, "dev", "--data-dir", directory_, "--listen", "127.0.0.1:0"};
      words.insert(words.end(), arguments_.begin(), arguments_.end());
      std::vector<char*> argv;
      for (auto& word : words) argv.push_back(word.data());
      argv.push_back(nullptr);
      int log = ::open((directory_ + "/dev.log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      ::dup2(log, 1);
      ::dup2(log, 2);
      ::execv(binary_.c_str(), argv.data());
      ::_exit(127);
    }
    while (read_endpoint().empty()) {
      if (::waitpid(process_, nullptr, WNOHANG) == process_) {
        std::ifstream log(directory_ + "/dev.log");
        std::stringstream text;
        text << log.rdbuf();
        fmt::print(stderr, "gantry dev ended:\n{}\n", text.str());
        std::exit(1);
      }
      std::this_thread::sleep_for(
          std::chrono::milliseconds(2));  // tidy: allow(clock) because a benchmark is not simulated
    }
    std::chrono::duration<double> took =
        std::chrono::steady_clock::now() - begin;  // tidy: allow(clock) because it measures
    return took.count();
  }
  void stop(int signal) {
    if (process_ <= 0) return;
    ::kill(process_, signal);
    ::waitpid(process_, nullptr, 0);
    process_ = 0;
  }

  pid_t process() const { return process_; }
  std::string url() const { return read_endpoint(); }
  std::string host() const { return "127.0.0.1"; }
  std::uint16_t port() const {
    std::string url = read_endpoint();
    return static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  }
  const std::string& directory() const { return directory_; }

  wire::HawkCredentials credentials() const {
    std::ifstream file(directory_ + "/credentials.json");
    std::stringstream text;
    text << file.rdbuf();
    json::value document = value_or_throw(parse_json(text.str()));
    return {std::string(document.at("clientId").as_string()), std::string(document.at("accessToken").as_string()), ""};
  }

 private:
  std::string read_endpoint() const {
    std::string url;
    std::ifstream(directory_ + "/endpoint") >> url;
    return url;
  }

  std::string binary_;
  std::string directory_;
  std::vector<std::string> arguments_;
  pid_t process_ = 0;
};

}  // namespace gantry::bench
