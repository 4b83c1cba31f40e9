// The server's numbers for Prometheus: counters kept while it runs, gauges read when somebody asks.
//
// io_context thread only.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/services.h"

namespace prometheus {
class Registry;
}

namespace gantry::server {

class Metrics {
 public:
  Metrics();
  ~Metrics();

  /// One answered request of this API method.
  void count_request(std::string_view method_name, int status, std::int64_t duration_us);
  /// In Prometheus' text format.
  std::string text(const Services& services);

 private:
  struct Families;
  void set_gauges(const Services& services);

  std::shared_ptr<prometheus::Registry> registry_;
  std::unique_ptr<Families> families_;
};

}  // namespace gantry::server
