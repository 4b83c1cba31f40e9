// Shells in running containers, between somebody who wants one and the agent that has the container (design 3.10): the
// client's WebSocket waits here until the agent, which was told of it in the answer to its poll, has come with one of
// its own; then messages go from one to the other as they are. What they mean is only between those two.
//
// A session ends when either side goes, when nobody comes for it, when its run is over or when the server stops;
// whoever is left is told so. Everything belongs to the io_context thread. A Shells outlives the sockets of its
// sessions, whose servers (net::HttpServer) must have stopped before it goes away.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "net/websocket.h"
#include "wire/node_messages.h"
#include "wire/shell_messages.h"

namespace gantry::server {

/// All runs together.
inline constexpr std::size_t shells_max = 1000;
/// For the agent, from the moment that somebody wants a shell.
inline constexpr Duration shell_answer_max = seconds(10);
/// After its run is over: for what is still on its way.
inline constexpr Duration shell_last_words_max = seconds(5);

/// What both sockets of a session keep to.
net::WebSocketLimits shell_socket_limits();

class Shells {
 public:
  struct Session {
    wire::ShellRequest request;
    NodeId node;
    bool told = false;     // to the agent
    bool claimed = false;  // by the agent: a session is for one connection
    bool over = false;
    std::shared_ptr<net::WebSocket> client{};
    std::shared_ptr<net::WebSocket> agent{};
    Event news{};
  };
  using SessionPtr = std::shared_ptr<Session>;

  explicit Shells(Env& env) : env_(env) {}
  Shells(const Shells&) = delete;
  Shells& operator=(const Shells&) = delete;

  /// A session that the node is to be told of; the caller wakes its poll. `request` needs no session id. Null if there
  /// are too many of this run's, or at all.
  SessionPtr open(NodeId node, wire::ShellRequest request);
  /// Whether the node has not been told of one.
  bool has_news(NodeId node) const;
  /// Those, which count as told from then on.
  std::vector<wire::ShellRequest> take_news(NodeId node);
  /// They could not be told after all.
  void put_back(const std::vector<wire::ShellRequest>& shells);
  /// The session, for the agent's one connection. Throws Error(not_found).
  SessionPtr claim(NodeId node, const std::string& id);

  /// The client's side of a session, to its end.
  Async<> serve_client(SessionPtr session, std::shared_ptr<net::WebSocket> socket);
  /// The agent's.
  Async<> serve_agent(SessionPtr session, std::shared_ptr<net::WebSocket> socket);

  /// One whose answer did not get through.
  void abandon(const SessionPtr& session) { end(session, net::close_going_away, ""); }
  /// Ends the run's sessions, a little later.
  void end_run(wire::RunRef run);
  void end_all();
  std::size_t size() const { return sessions_.size(); }

 private:
  Async<bool> await_agent(SessionPtr session);
  void end(const SessionPtr& session, int code, std::string_view reason);

  Env& env_;
  std::map<std::string, SessionPtr> sessions_;  // by their ids
};

/// For somebody who comes in vain: says why in the protocol of shells, and closes.
Async<> refuse_shell(std::string reason, std::shared_ptr<net::WebSocket> socket);

}  // namespace gantry::server
