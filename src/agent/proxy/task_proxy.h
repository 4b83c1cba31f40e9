// The tasks' door to the server (taskcluster.md 1.7, docs/features.md): requests that come from a task's container are
// sent on, signed with the task's own scopes and no more. The agent itself listens, on the address that its machine has
// on the tasks' network; there is no container beside the task's.
//
// Who asks is known by the address of the connection: that of a running container belongs to it alone, and no container
// can take another one's, because none but privileged ones has CAP_NET_RAW or CAP_NET_ADMIN. So for each request the
// engine is asked whether the container that is thought to have the address runs and has it now.
//
// io_context thread only. Life: construct, stop() before it is destroyed; no Admission may outlive it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/task/feature.h"
#include "net/http_server.h"

namespace gantry::agent {

/// For one run: its container is let in while this lives. The run must outlive it.
class Admission {
 public:
  Admission() = default;
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;
  virtual ~Admission() = default;
};

class TaskProxy : public net::Handler {
 public:
  /// `port_file` keeps the port over restarts: containers that run know it.
  TaskProxy(Env& env, engine::Engine& engine, ServerApi& server, std::string network, std::string port_file);
  ~TaskProxy() override;

  /// The engine is on another machine, `engine_host`, and its containers reach this one at `address`; empty: they do
  /// not. Their own addresses must come through unchanged, or nobody is let in, and no container of this machine may
  /// have the same. Before open().
  void be_away_from(std::string engine_host, std::string address);

  struct Address {
    std::string host;
    int port = 0;
  };
  /// Listens, if it does not yet; where. On port 80 if that is free, else on another; with `again`, on the port of the
  /// last time first. Throws Error: unsupported if this machine does not have the address on which to listen.
  Async<Address> open(bool again);

  /// Throws Error(too_large) if the task has more scopes than a request can carry.
  std::unique_ptr<Admission> admit(RunContext& run);

  /// Ends what is under way, soon.
  Async<> stop();

  Async<net::Response> handle(net::Request request) override;

 private:
  struct Guest;
  class Ticket;
  using GuestPointer = std::shared_ptr<Guest>;

  Async<net::Response> answer(net::Request request);
  Async<GuestPointer> find_guest(std::string address);
  Async<net::Response> give_bewit(GuestPointer guest, net::Request request);
  Async<net::Response> forward(GuestPointer guest, net::Request request, std::string target);
  Async<net::OpenResponse> exchange(GuestPointer guest, net::OutgoingRequest request, bool replayable);
  Signer signer_of(Guest& guest) const;
  net::Response make_response(const Guest& guest, const Signer& signer, const std::string& target,
                              net::OpenResponse opened) const;
  void listen_on(const std::string& host, bool again);

  Env& env_;
  engine::Engine& engine_;
  ServerApi& server_;
  std::string network_;
  std::string port_file_;
  std::unique_ptr<net::HttpServer> http_;
  std::string host_;                                       // that http_ listens on
  std::string engine_host_;                                // if the engine is elsewhere
  std::string remote_address_;                             // then: for its containers
  std::vector<std::unique_ptr<net::HttpServer>> retired_;  // of addresses that the network had before
  std::vector<GuestPointer> guests_;
};

}  // namespace gantry::agent
