// Ctrl-C and SIGTERM as the command line treats them: the first one asks, the second SIGINT (and the second SIGTERM)
// ends the program at once, whatever it is doing.
#pragma once

#include <memory>

#include "base/env.h"

namespace gantry::cli {

class Interrupts {
 public:
  /// Takes the signals over at once, also where the parent ignored them (a shell's background job does that to SIGINT).
  /// Call it first in a command; one object a process.
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  bool requested() const;
  /// Until the first signal has come.
  Async<> wait(Env& env);

 private:
  struct Pipe;
  std::unique_ptr<Pipe> pipe_;
};

}  // namespace gantry::cli
