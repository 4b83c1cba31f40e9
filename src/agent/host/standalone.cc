// The host of a machine that nobody lends: nothing is known of it, and it stays.
#include "agent/host/host.h"

namespace gantry::agent {
namespace {

class StandaloneHost : public Host {
 public:
  Async<HostFacts> facts() override { co_return HostFacts(); }
  Async<HostNotice> wait_for_notice() override {
    for (;;) co_await never_.wait();
  }
  Async<bool> shut_down() override { co_return false; }
  Async<> report_error(std::string, std::string) override { co_return; }

 private:
  Event never_;
};

}  // namespace

std::shared_ptr<Host> make_standalone_host() { return std::make_shared<StandaloneHost>(); }

}  // namespace gantry::agent
