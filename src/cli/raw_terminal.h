// The terminal as a shell elsewhere wants it: every key goes through as it is, nothing is echoed here. Its old state
// comes back when the object goes, and also if the program is ended by a signal or by itself (abort).
#pragma once

#include <utility>

namespace gantry::cli {

class RawTerminal {
 public:
  /// Of standard input, which must be a terminal; throws Error(unavailable). One object a process at a time.
  RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal();
};

struct TerminalSize {
  int rows = 24;
  int columns = 80;
  friend bool operator==(const TerminalSize&, const TerminalSize&) = default;
};
/// 24 by 80 if it cannot be known.
TerminalSize terminal_size(int descriptor);

}  // namespace gantry::cli
