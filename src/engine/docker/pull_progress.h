// What the engine says while it pulls an image: a line of JSON for each step of each layer. The answer's status is 200
// long before the pull has succeeded, so a failure comes as one of these lines.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/time.h"

namespace gantry::engine::docker {

/// What a failed pull means, from the engine's words: not_found (no such image), not_authorized (a login is needed, or
/// the image does not exist: registries do not tell), invalid_input, or unavailable (registry out of reach, rate limit,
/// full disk). `status` is the answer's own if it was an error, or 200.
Error pull_error(std::string_view image, int status, std::string_view reason);

/// Turns the stream into a few lines for people.
class PullProgress {
 public:
  PullProgress(std::string image, std::function<void(std::string)> report)
      : image_(std::move(image)), report_(std::move(report)) {}

  /// `uptime` is the time of arrival. Throws pull_error() for an error line, Error(unsupported) for what is not JSON.
  void feed(std::string_view bytes, Duration uptime);
  /// At the end of the stream; throws for half a line.
  void finish(Duration uptime);

 private:
  struct Layer {
    std::int64_t bytes = 0;
    std::int64_t bytes_total = 0;
    std::int64_t bytes_unpacked = 0;  // of the same, compressed, bytes
  };
  void take_line(std::string_view line, Duration uptime);
  void report_bytes(Duration uptime);

  std::string image_;
  std::function<void(std::string)> report_;
  std::string line_;
  std::map<std::string, Layer, std::less<>> layers_;
  Duration reported_{};  // when bytes were last reported
};

}  // namespace gantry::engine::docker
