#include "cli/raw_terminal.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/error.h"

namespace gantry::cli {
namespace {

/// Those that end a program, caught or by an assertion that failed.
constexpr std::array endings = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

termios before;
std::array<struct sigaction, endings.size()> handlers;

/// Async-signal-safe: tcsetattr(), sigaction() and raise() only.
void restore_and_end(int number) {
  ::tcsetattr(STDIN_FILENO, TCSANOW, &before);
  struct sigaction plain{};
  plain.sa_handler = SIG_DFL;
  ::sigaction(number, &plain, nullptr);
  ::raise(number);
}

}  // namespace

RawTerminal::RawTerminal() {
  if (::tcgetattr(STDIN_FILENO, &before) != 0) {
    throw Error(ErrorCode::unavailable, "standard input is no terminal");
  }
  struct sigaction action{};
  action.sa_handler = restore_and_end;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < endings.size(); ++i) ::sigaction(endings[i], &action, &handlers[i]);
  termios raw = before;
  ::cfmakeraw(&raw);
  ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

RawTerminal::~RawTerminal() {
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
  for (std::size_t i = 0; i < endings.size(); ++i) ::sigaction(endings[i], &handlers[i], nullptr);
}

TerminalSize terminal_size(int descriptor) {
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {};
  return {size.ws_row, size.ws_col};
}

}  // namespace gantry::cli
