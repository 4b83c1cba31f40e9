#include "agent/run_program.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

extern char** environ;

namespace gantry::agent {
namespace {

/// A daemon's $PATH may lack these.
constexpr const char* administrator_folders[] = {"/usr/sbin/", "/sbin/"};

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

[[noreturn]] void cannot_run(const std::string& program, int error) {
  throw Error(error == ENOENT ? ErrorCode::not_found : ErrorCode::unavailable,
              fmt::format("cannot run {}: {}", program, std::strerror(error)),
              error == ENOENT ? "install it on this machine" : "");
}

pid_t spawn(const std::vector<std::string>& words, int output) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  pid_t child = 0;
  int error = ::posix_spawnp(&child, words[0].c_str(), &actions, nullptr, arguments.data(), environ);
  if (error == ENOENT && words[0].find('/') == std::string::npos) {
    for (const char* folder : administrator_folders) {
      if (error == ENOENT) {
        error = ::posix_spawn(&child, (folder + words[0]).c_str(), &actions, nullptr, arguments.data(), environ);
      }
    }
  }
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) cannot_run(words[0], error);
  return child;
}

/// Whether the process has ended by then. An interrupted wait begins anew: the agent's signals are few.
bool ended_within(pid_t child, Duration limit) {
  Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  if (handle.get() < 0) return true;  // an old kernel: waited for without a limit
  struct ::pollfd wanted{handle.get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&wanted, 1, static_cast<int>(limit.count()));
  } while (ready < 0 && errno == EINTR);
  return ready != 0;
}

std::string read_back(int descriptor) {
  std::string text(program_output_bytes_max, '\0');
  ssize_t size = ::pread(descriptor, text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

}  // namespace

ProgramResult run_program(const std::vector<std::string>& words, Duration limit) {
  GANTRY_ASSERT(!words.empty());
  Descriptor output(static_cast<int>(::memfd_create("output", MFD_CLOEXEC)));
  if (output.get() < 0) cannot_run(words[0], errno);
  pid_t child = spawn(words, output.get());
  bool in_time = ended_within(child, limit);
  if (!in_time) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!in_time) {
    throw Error(ErrorCode::deadline_exceeded,
                fmt::format("{} did not end within {} s", words[0],
                            std::chrono::duration_cast<std::chrono::seconds>(limit).count()));
  }
  ProgramResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.output = read_back(output.get());
  return result;
}

}  // namespace gantry::agent
