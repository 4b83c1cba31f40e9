// An open file as a body: read on the blocking pool, the next piece while the last one is used.
#pragma once

#include <memory>

#include "base/env.h"
#include "net/http.h"

namespace gantry::net {

/// An open file descriptor, closed with its last owner.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();
  int number() const { return number_; }

 private:
  int number_;
};

/// Blocks. Null if there is no such file that may be read.
std::shared_ptr<Descriptor> open_to_read(const std::string& path);

/// `bytes` from `offset` of a plain file. Reading throws Error(corrupt) if the file has fewer, which the error calls
/// `name`. `env` must outlive it.
std::shared_ptr<BodyReader> file_body(Env& env, std::shared_ptr<const Descriptor> file, std::int64_t offset,
                                      std::int64_t bytes, std::string name);

}  // namespace gantry::net
