#include "server/shells.h"

#include <algorithm>

#include "base/log.h"

namespace gantry::server {
namespace {

using net::WebSocket;

/// Until `from` ends; nothing is read of it while `to` takes nothing.
Async<> relay(std::shared_ptr<WebSocket> from, std::shared_ptr<WebSocket> to) {
  while (auto message = co_await from->read()) co_await to->write(std::move(*message));
}

/// Until one of the two goes; the code that the other one's socket is closed with.
Async<int> relay_to_end(std::shared_ptr<WebSocket> from, std::shared_ptr<WebSocket> to) {
  try {
    co_await relay(std::move(from), std::move(to));
  } catch (const Error& error) {
    log_debug("shell: {}", error.message());
    co_return net::close_going_away;
  }
  co_return net::close_normal;
}

Async<> say(std::shared_ptr<WebSocket> socket, std::string message) {
  try {
    co_await socket->write_binary(std::move(message));
  } catch (const Error& error) {
    log_debug("shell: {}", error.message());
  }
}

}  // namespace

net::WebSocketLimits shell_socket_limits() {
  net::WebSocketLimits limits;
  limits.message_bytes_max = wire::shell_message_bytes_max;
  return limits;
}

Shells::SessionPtr Shells::open(NodeId node, wire::ShellRequest request) {
  auto of_run =
      std::ranges::count_if(sessions_, [&](const auto& entry) { return entry.second->request.run == request.run; });
  if (of_run >= wire::shells_per_run_max || sessions_.size() >= shells_max) return nullptr;
  request.session = TaskId::random(env_).to_string();
  auto session = std::make_shared<Session>();
  session->request = std::move(request);
  session->node = node;
  sessions_[session->request.session] = session;
  return session;
}

bool Shells::has_news(NodeId node) const {
  return std::ranges::any_of(sessions_,
                             [&](const auto& entry) { return entry.second->node == node && !entry.second->told; });
}

std::vector<wire::ShellRequest> Shells::take_news(NodeId node) {
  std::vector<wire::ShellRequest> news;
  for (auto& [id, session] : sessions_) {
    if (session->node != node || session->told) continue;
    session->told = true;
    news.push_back(session->request);
  }
  return news;
}

void Shells::put_back(const std::vector<wire::ShellRequest>& shells) {
  for (const wire::ShellRequest& shell : shells) {
    auto session = sessions_.find(shell.session);
    if (session != sessions_.end()) session->second->told = session->second->claimed;
  }
}

Shells::SessionPtr Shells::claim(NodeId node, const std::string& id) {
  auto session = sessions_.find(id);
  if (session == sessions_.end() || session->second->node != node || session->second->claimed) {
    throw Error(ErrorCode::not_found, "there is no such session of a shell, or it has been taken up");
  }
  session->second->claimed = true;
  return session->second;
}

void Shells::end(const SessionPtr& session, int code, std::string_view reason) {
  if (std::exchange(session->over, true)) return;
  if (session->client) session->client->close(code, reason);
  if (session->agent) session->agent->close(code, reason);
  session->news.notify_all();
  sessions_.erase(session->request.session);
}

/// False if it has not come, or the session is over.
Async<bool> Shells::await_agent(SessionPtr session) {
  Duration until = env_.uptime() + shell_answer_max;
  while (!session->agent && !session->over) {
    Duration left = until - env_.uptime();
    if (left <= Duration(0)) co_return false;
    co_await session->news.wait_for(env_, left);
  }
  co_return !session->over;
}

Async<> Shells::serve_client(SessionPtr session, std::shared_ptr<WebSocket> socket) {
  session->client = socket;
  session->news.notify_all();
  std::exception_ptr failure;
  int code = net::close_going_away;
  try {
    bool came = co_await await_agent(session);
    if (came) code = co_await relay_to_end(socket, session->agent);
    if (!came && !session->over) {
      co_await say(socket, wire::encode_shell(wire::ShellCode::error, "the task's node did not answer within 10 s"));
    }
  } catch (...) {
    failure = std::current_exception();
  }
  end(session, code, "");
  session->client = nullptr;
  if (failure) std::rethrow_exception(failure);
}

Async<> Shells::serve_agent(SessionPtr session, std::shared_ptr<WebSocket> socket) {
  bool waited = false;  // the client's own answer may still be on its way
  while (!session->client && !session->over && !std::exchange(waited, true)) {
    co_await session->news.wait_for(env_, shell_answer_max);
  }
  if (session->over || !session->client) {
    socket->close(net::close_going_away, "the client has gone");
    end(session, net::close_going_away, "");
    co_return;
  }
  session->agent = socket;
  session->news.notify_all();
  std::exception_ptr failure;
  int code = net::close_going_away;
  try {
    code = co_await relay_to_end(socket, session->client);
  } catch (...) {
    failure = std::current_exception();
  }
  end(session, code, "");
  session->agent = nullptr;
  if (failure) std::rethrow_exception(failure);
}

void Shells::end_run(wire::RunRef run) {
  for (const auto& [id, session] : sessions_) {
    if (session->request.run != run) continue;
    // Of the session alone once this is gone: then the session is over, too.
    env_.call_after(shell_last_words_max, [this, left = std::weak_ptr(session)] {
      if (auto still = left.lock(); still && !still->over) end(still, net::close_going_away, "the run is over");
    });
  }
}

void Shells::end_all() {
  while (!sessions_.empty()) {
    SessionPtr session = sessions_.begin()->second;
    end(session, net::close_going_away, "the server stops");
  }
}

Async<> refuse_shell(std::string reason, std::shared_ptr<WebSocket> socket) {
  co_await say(socket, wire::encode_shell(wire::ShellCode::error, reason));
}

}  // namespace gantry::server
