// The network between the clients and the server: each message takes its time, and by fault gets lost, comes twice or
// late; connections break, clients are cut off. A request is one connection, as far as anybody can tell.
//
// What holds as with real sockets: an answer is either received whole or not at all; if the server is told that one
// could not be delivered (Response::undelivered), the client has not received it, but one that is lost is not always
// told, and sometimes late.
#pragma once

#include <list>
#include <memory>
#include <set>
#include <string>

#include "net/transport.h"
#include "sim/faults.h"
#include "sim/sim_env.h"
#include "sim/trace.h"

namespace gantry::sim {

class SimNetwork;

/// A client's end.
class Link : public net::Transport {
 public:
  Link(SimNetwork& network, SimEnv& env, std::string name);

  /// Throws Error(unavailable) if the server is not there or the connection broke, Error(deadline_exceeded) if nothing
  /// came back in time.
  Async<net::IncomingResponse> exchange(net::OutgoingRequest request, std::size_t body_bytes_max) override;
  Async<net::OpenResponse> open(net::OutgoingRequest request) override;
  Async<std::shared_ptr<net::RawStream>> upgrade(net::OutgoingRequest request, std::string protocol) override;

  const std::string& name() const { return name_; }
  bool is_cut() const;
  void cut_until(std::int64_t until_us) { cut_until_us_ = until_us; }
  void heal() { cut_until_us_ = 0; }
  /// The process at this end: its timers time the requests out. While nothing is under way only.
  void belongs_to(SimEnv& env) { env_ = &env; }

 private:
  friend class SimNetwork;
  SimNetwork& network_;
  SimEnv* env_;
  std::string name_;
  std::int64_t cut_until_us_ = 0;
};

/// How an exchange ended for the client.
struct Reply {
  enum class Kind { answered, refused, broken, timed_out } kind = Kind::refused;
  net::IncomingResponse response;
};

/// One request on its way, at the server, and back.
struct Exchange {
  std::uint64_t id = 0;
  Link* link = nullptr;
  net::Method method = net::Method::get;
  std::string target;
  net::Headers headers;
  std::string body;
  std::optional<Resumer<Reply>> caller;  // while the client waits
  bool peer_gone = false;                // and the server can see it
  bool over = false;                     // the client has its answer
  bool ghost = false;                    // a second copy: nobody waits for its answer
  std::function<void()> gone;            // whom to tell

  void client_left() {
    peer_gone = true;
    if (auto tell = std::exchange(gone, nullptr)) tell();
  }
};

/// Learns what reaches the server and what leaves it.
class NetworkObserver {
 public:
  virtual ~NetworkObserver() = default;
  virtual void on_arrival(const Exchange& exchange) = 0;
  virtual void on_answer(const Exchange& exchange, const net::Response& response) = 0;
  /// The server is gone, with everything that it was answering.
  virtual void on_server_gone() = 0;
};

/// The server's end: one a life of the server.
struct Endpoint {
  Endpoint(net::Handler& server, SimEnv& server_env)
      : handler(server), env(server_env), requests(server_env.executor(), "requests") {}

  net::Handler& handler;
  SimEnv& env;
  Scope requests;
  std::list<std::shared_ptr<Exchange>> active;
  bool alive = true;
};

class SimNetwork {
 public:
  SimNetwork(SimEnv& env, Faults& faults, Trace& trace, NetworkObserver& observer)
      : env_(env), faults_(faults), trace_(trace), observer_(observer) {}

  /// Requests are answered by this server from now on.
  void attach(std::shared_ptr<Endpoint> endpoint) { endpoint_ = std::move(endpoint); }
  /// New connections are refused; what is being answered still is.
  void close_door() { endpoint_ = nullptr; }
  /// The process is gone: its connections break, and nothing of it is heard any more. The owner then cancels its
  /// requests.
  void server_died(Endpoint& endpoint);

  std::uint64_t requests() const { return last_id_; }

 private:
  friend class Link;
  struct LeaveOnEnd;

  void send(std::shared_ptr<Exchange> exchange);
  void arrive(std::shared_ptr<Exchange> exchange);
  void deliver(std::shared_ptr<Endpoint> endpoint, std::shared_ptr<Exchange> exchange);
  Async<> serve(std::shared_ptr<Endpoint> endpoint, std::shared_ptr<Exchange> exchange);
  Async<bool> read_stream(std::shared_ptr<Exchange> exchange, net::Response& response);
  void answer(std::shared_ptr<Endpoint> endpoint, std::shared_ptr<Exchange> exchange, net::Response response);
  void hand_over(std::shared_ptr<Endpoint> endpoint, std::shared_ptr<Exchange> exchange,
                 std::shared_ptr<net::Response> response);
  void not_delivered(std::shared_ptr<Endpoint> endpoint, std::function<void()> undelivered);
  void leave(std::shared_ptr<Exchange> exchange);
  void reply(std::shared_ptr<Exchange> exchange, Reply::Kind kind);
  std::int64_t latency_us();

  SimEnv& env_;
  Faults& faults_;
  Trace& trace_;
  NetworkObserver& observer_;
  std::shared_ptr<Endpoint> endpoint_;
  std::uint64_t last_id_ = 0;
};

}  // namespace gantry::sim
