// A native agent's way to the server. It tells the oracle what the agent is about to report and what it has been given,
// and holds every answer against what an agent's proper request may be answered with.
#pragma once

#include "net/transport.h"
#include "sim/api_client.h"

namespace gantry::sim {

class AgentTap : public net::Transport {
 public:
  AgentTap(ClientWorld& world, Link& link) : world_(world), link_(link) {}

  Async<net::IncomingResponse> exchange(net::OutgoingRequest request, std::size_t body_bytes_max) override;
  Async<net::OpenResponse> open(net::OutgoingRequest request) override;
  Async<std::shared_ptr<net::RawStream>> upgrade(net::OutgoingRequest request, std::string protocol) override;

 private:
  void about_to_send(const net::OutgoingRequest& request);
  void received(const std::string& target, const net::IncomingResponse& response, std::int64_t sent_us);

  ClientWorld& world_;
  Link& link_;
};

}  // namespace gantry::sim
