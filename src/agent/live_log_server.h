// Logs of runs while they are written, served by the agent itself: what a foreign Taskcluster's live log leads to
// (taskcluster.md 1.4). GET /log/<token> is answered with the log from its first byte until its end, to any number of
// readers up to log_readers_max; the token cannot be guessed, and is all that is needed.
//
// io_context thread only. Life: construct (listens), show() and hide() for each log, stop().
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/env.h"
#include "net/http_server.h"
#include "wire/node_messages.h"

namespace gantry::agent {

class RunLog;

class LiveLogServer : public net::Handler {
 public:
  /// Listens on "address:port", port 0 for a free one; `tls` may be null. Throws Error if it cannot.
  LiveLogServer(Env& env, const std::string& listen_address, std::shared_ptr<const net::TlsContext> tls);
  ~LiveLogServer() override;

  int port() const { return server_.port(); }
  /// The path under which the log is read from now on. `log` must stay until hide() has returned.
  std::string show(wire::RunRef run, RunLog& log);
  /// All has been written: readers come to an end.
  void finish(wire::RunRef run);
  /// Finishes it; returns when nobody reads any more. Readers have a few seconds for what they have not read yet.
  Async<> hide(wire::RunRef run);
  Async<> stop();

  Async<net::Response> handle(net::Request request) override;

 private:
  struct Shown;
  class Tail;

  Env& env_;
  std::map<wire::RunRef, std::shared_ptr<Shown>> shown_;
  std::shared_ptr<int> readers_ = std::make_shared<int>(0);
  net::HttpServer server_;
};

}  // namespace gantry::agent
