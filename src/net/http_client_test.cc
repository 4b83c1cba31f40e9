#include "net/http_client.h"

#include <filesystem>

#include <unistd.h>

#include "net/test_world.h"

namespace gantry::net {
namespace {

Async<Response> echo(Request request) {
  std::string body = co_await read_all(*request.body, 1 << 20);
  Response response = text_response(std::string(method_name(request.method)) + " " + request.target + " " + body);
  response.headers.add("X-Host", std::string(request.headers.get("Host")));
  response.headers.add("X-Note", std::string(request.headers.get("X-Note")));
  response.headers.add("X-Peer", request.peer);
  if (request.target == "/none") response = text_response("", 204);
  co_return response;
}

OutgoingRequest get(std::string target) {
  OutgoingRequest request;
  request.target = std::move(target);
  return request;
}

OutgoingRequest post(std::string target, std::string body) {
  OutgoingRequest request;
  request.method = Method::post;
  request.target = std::move(target);
  request.body = std::move(body);
  return request;
}

/// A server that says what the test tells it to.
class RawServer {
 public:
  explicit RawServer(Env& env)
      : env_(env), acceptor_(env.executor(), asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {}
  int port() const { return acceptor_.local_endpoint().port(); }
  Async<RawPeer> accept() {
    asio::basic_stream_socket<asio::ip::tcp, Executor> socket(env_.executor());
    co_await acceptor_.async_accept(socket, use_async);
    co_return RawPeer(env_, StreamSocket(std::move(socket)));
  }
  /// The next connection, once a request's header has come on it.
  Async<RawPeer> accept_request() {
    RawPeer peer = co_await accept();
    co_await peer.read_until("\r\n\r\n");
    co_return peer;
  }

 private:
  Env& env_;
  asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor_;
};

/// An exchange that runs beside the test.
struct Running {
  std::optional<IncomingResponse> response;
  std::optional<Error> error;
  bool ended() const { return response || error; }
};

Async<> exchange_into(std::shared_ptr<Transport> client, OutgoingRequest request, std::shared_ptr<Running> running) {
  std::exception_ptr failure;
  try {
    running->response = co_await client->exchange(std::move(request));
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) running->error = error_of(failure);
}

NET_TEST(HttpClient, ExchangesAndKeepsItsConnection) {
  auto& server = world.serve(echo);
  auto client = world.client(server.port());
  OutgoingRequest request = post("/a?b=c", "body");
  request.headers.add("X-Note", "n");
  IncomingResponse response = co_await client->exchange(std::move(request));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "POST /a?b=c body");
  EXPECT_EQ(response.headers.get("x-note"), "n");
  EXPECT_EQ(response.headers.get("x-host"), "127.0.0.1:" + std::to_string(server.port()));
  std::string peer(response.headers.get("x-peer"));
  for (auto method : {Method::get, Method::put, Method::delete_, Method::patch, Method::options, Method::head}) {
    OutgoingRequest next = get("/");
    next.method = method;
    response = co_await client->exchange(std::move(next));
    EXPECT_EQ(response.headers.get("x-peer"), peer);
    EXPECT_EQ(response.body.empty(), method == Method::head);
  }
  response = co_await client->exchange(get("/none"));
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(server.connections(), 1u);
}

NET_TEST(HttpClient, ResolvesNames) {
  auto& server = world.serve(echo);
  auto endpoint = value_or_throw(parse_endpoint("http://localhost:" + std::to_string(server.port())));
  IncomingResponse response = co_await make_http_client(world.env, endpoint)->exchange(get("/"));
  EXPECT_EQ(response.status, 200);
}

NET_TEST(HttpClient, SaysWhatItCannotReach) {
  int port = 0;
  {
    RawServer closed(world.env);
    port = closed.port();
  }
  Error refused = co_await error_from(world.client(port)->exchange(get("/")));
  EXPECT_EQ(refused.code(), ErrorCode::unavailable);
  EXPECT_EQ(refused.message(), "cannot reach http://127.0.0.1:" + std::to_string(port) + ": connection refused");
  EXPECT_FALSE(refused.hint().empty());

  auto missing = value_or_throw(parse_endpoint("unix:///nowhere/engine.sock"));
  Error no_file = co_await error_from(make_http_client(world.env, missing)->exchange(get("/")));
  EXPECT_EQ(no_file.code(), ErrorCode::unavailable);
  EXPECT_EQ(no_file.message(), "cannot reach unix:///nowhere/engine.sock: no such file or directory");

  auto unknown = value_or_throw(parse_endpoint("http://no-such-host.invalid"));
  Error no_name = co_await error_from(make_http_client(world.env, unknown)->exchange(get("/")));
  EXPECT_EQ(no_name.code(), ErrorCode::unavailable);
}

NET_TEST(HttpClient, RefusesToSendNonsense) {
  auto client = world.client(1);
  OutgoingRequest header = get("/");
  header.headers.add("X", "a\r\nY: b");
  Error split = co_await error_from(client->exchange(std::move(header)));
  EXPECT_EQ(split.code(), ErrorCode::invalid_input);
  for (std::string target : {"", "relative", "/a b", "/a\r\nX: y"}) {
    Error bad = co_await error_from(client->exchange(get(target)));
    EXPECT_EQ(bad.code(), ErrorCode::invalid_input) << target;
  }
}

struct AnswerCase {
  std::string answer;
  int status;
  std::string body;
};

NET_TEST(HttpClient, ReadsEveryKindOfAnswer) {
  RawServer server(world.env);
  auto client = world.client(server.port());
  for (const auto& [answer, status, body] : std::vector<AnswerCase>{
           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\n", 200,
            "abcde"},
           {"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end"},
           {"HTTP/1.0 404 Nope\r\nContent-Length: 2\r\n\r\nno", 404, "no"},
           {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: "
            "0\r\n\r\n",
            201, ""},
           {"HTTP/1.1 304 Same\r\nContent-Length: 10\r\n\r\n", 304, ""},
       }) {
    for (std::size_t step : {answer.size(), std::size_t{1}}) {
      Scope scope(world.env.executor(), "client");
      auto running = std::make_shared<Running>();
      scope.spawn("exchange", exchange_into(client, get("/"), running));
      RawPeer peer = co_await server.accept_request();
      for (std::size_t at = 0; at < answer.size(); at += step) {
        co_await peer.send(answer.substr(at, step));
        co_await yield_now();
      }
      peer.close();
      co_await scope.join();
      EXPECT_TRUE(running->response) << running->error->message() << answer;
      if (!running->response) continue;
      EXPECT_EQ(running->response->status, status);
      EXPECT_EQ(running->response->body, body);
    }
  }
}

NET_TEST(HttpClient, SaysWhatIsWrongWithAnAnswer) {
  RawServer server(world.env);
  auto client = world.client(server.port());
  for (std::string answer : {
           "",
           "HTTP/1.1 200 OK\r\nContent-Le",
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
           "SSH-2.0-OpenSSH_9.2\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
       }) {
    Scope scope(world.env.executor(), "client");
    auto running = std::make_shared<Running>();
    scope.spawn("exchange", exchange_into(client, get("/x?secret"), running));
    RawPeer peer = co_await server.accept_request();
    co_await peer.send(answer);
    peer.close();
    co_await scope.join();
    EXPECT_TRUE(running->error) << answer;
    if (!running->error) continue;
    EXPECT_EQ(running->error->code(), ErrorCode::unavailable) << answer;
    EXPECT_TRUE(running->error->message().starts_with("GET http://127.0.0.1:")) << running->error->message();
    EXPECT_EQ(running->error->message().find("secret"), std::string::npos);
  }
}

NET_TEST(HttpClient, HasADeadlineOnTheHeaderAndOnTheBody) {
  RawServer server(world.env);
  auto client = world.client(server.port());
  for (std::string answer : {"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"}) {
    Scope scope(world.env.executor(), "client");
    auto running = std::make_shared<Running>();
    OutgoingRequest request = get("/");
    request.timeout = milliseconds(50);
    scope.spawn("exchange", exchange_into(client, std::move(request), running));
    RawPeer peer = co_await server.accept_request();
    co_await peer.send(answer);
    co_await peer.read_to_end();
    co_await scope.join();
    EXPECT_TRUE(running->error && running->error->code() == ErrorCode::deadline_exceeded) << answer;
  }
}

/// A body whose source is silent.
struct SilentBody : BodyReader {
  explicit SilentBody(bool& d) : destroyed(d) {}
  ~SilentBody() override { destroyed = true; }
  Async<std::string> read_some() override {
    co_await never.wait();
    co_return std::string();
  }
  Event never;
  bool& destroyed;
};

NET_TEST(HttpClient, HasADeadlineOnASilentSource) {
  auto& server = world.serve(echo);
  bool destroyed = false;
  OutgoingRequest request = post("/", "");
  request.stream = std::make_shared<SilentBody>(destroyed);
  request.timeout = milliseconds(50);
  LogCapture log;  // the server's handler fails for want of a body
  Error error = co_await error_from(world.client(server.port())->exchange(std::move(request)));
  EXPECT_EQ(error.code(), ErrorCode::deadline_exceeded);
  EXPECT_TRUE(destroyed);
  co_await world.until([&server] { return server.connections() == 0; });
}

struct FailingBody : BodyReader {
  Async<std::string> read_some() override {
    throw Error(ErrorCode::corrupt, "the source is broken");
    co_return std::string();
  }
};

NET_TEST(HttpClient, PassesOnWhatTheSourceThrows) {
  auto& server = world.serve(echo);
  auto client = world.client(server.port());
  LogCapture log;  // the server's handler fails for want of a body
  OutgoingRequest request = post("/", "");
  request.stream = std::make_shared<FailingBody>();
  Error error = co_await error_from(client->exchange(std::move(request)));
  EXPECT_EQ(error.code(), ErrorCode::corrupt);
  IncomingResponse response = co_await client->exchange(post("/", "well"));
  EXPECT_EQ(response.body, "POST / well");
}

NET_TEST(HttpClient, LimitsTheAnswer) {
  auto& server = world.serve(echo);
  auto client = world.client(server.port());
  IncomingResponse fits = co_await client->exchange(post("/", "123"), 10);
  EXPECT_EQ(fits.body.size(), 10u);
  Error error = co_await error_from(client->exchange(post("/", "1234"), 10));
  EXPECT_EQ(error.code(), ErrorCode::too_large);
}

NET_TEST(HttpClient, NoticesThatAnIdleConnectionWasClosed) {
  RawServer server(world.env);
  auto client = world.client(server.port());
  for (int i = 0; i < 3; ++i) {
    Scope scope(world.env.executor(), "client");
    auto running = std::make_shared<Running>();
    scope.spawn("exchange", exchange_into(client, post("/", "x"), running));
    RawPeer peer = co_await server.accept_request();
    co_await peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    co_await scope.join();
    EXPECT_TRUE(running->response) << running->error->message();
    peer.close();  // while it is idle at the client
  }
}

/// The server takes a second request on a kept connection and closes without a word.
Async<> lose_second_request(World& world, OutgoingRequest request, bool expect_retry) {
  RawServer server(world.env);
  auto client = world.client(server.port());
  Scope scope(world.env.executor(), "client");
  auto first = std::make_shared<Running>();
  scope.spawn("first", exchange_into(client, get("/"), first));
  RawPeer peer = co_await server.accept_request();
  co_await peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  co_await scope.join();
  auto second = std::make_shared<Running>();
  scope.spawn("second", exchange_into(client, std::move(request), second));
  co_await peer.read_until("\r\n\r\n");
  peer.close();
  if (expect_retry) {
    RawPeer again = co_await server.accept_request();
    co_await again.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  }
  co_await scope.join();
  EXPECT_EQ(second->response.has_value(), expect_retry);
  EXPECT_EQ(second->error.has_value(), !expect_retry);
}

NET_TEST(HttpClient, RepeatsWhatMayBeRepeated) { co_await lose_second_request(world, get("/"), true); }
NET_TEST(HttpClient, DoesNotRepeatAPost) { co_await lose_second_request(world, post("/", ""), false); }

NET_TEST(HttpClient, DoesNotRepeatOnAFreshConnection) {
  RawServer server(world.env);
  auto client = world.client(server.port());
  Scope scope(world.env.executor(), "client");
  auto running = std::make_shared<Running>();
  scope.spawn("exchange", exchange_into(client, get("/"), running));
  RawPeer peer = co_await server.accept_request();
  peer.close();
  co_await scope.join();
  EXPECT_TRUE(running->error && running->error->code() == ErrorCode::unavailable);
}

NET_TEST(HttpClient, DoesNotReuseAConnectionWithBytesLeft) {
  RawServer server(world.env);
  auto client = world.client(server.port());
  for (int i = 0; i < 2; ++i) {
    Scope scope(world.env.executor(), "client");
    auto running = std::make_shared<Running>();
    scope.spawn("exchange", exchange_into(client, get("/"), running));
    RawPeer peer = co_await server.accept_request();
    co_await peer.send(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    co_await scope.join();
    EXPECT_EQ(running->response->body, "ok");
    std::string end = co_await peer.read_to_end();
    EXPECT_EQ(end, "");
  }
}

NET_TEST(HttpClient, HearsAnAnswerThatComesBeforeAllIsSent) {
  RawServer server(world.env);
  auto client = world.client(server.port());
  Scope scope(world.env.executor(), "client");
  auto running = std::make_shared<Running>();
  OutgoingRequest request = post("/", "");
  request.stream = std::make_shared<CountedBody>(100'000'000);
  scope.spawn("exchange", exchange_into(client, std::move(request), running));
  RawPeer peer = co_await server.accept_request();
  co_await peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge");
  peer.close();
  co_await scope.join();
  EXPECT_TRUE(running->response) << running->error->message();
  EXPECT_EQ(running->response->status, 413);
  EXPECT_EQ(running->response->body, "large");
}

NET_TEST(HttpClient, OpenGivesTheBodyAsItComes) {
  RawServer server(world.env);
  auto client = world.client(server.port());
  Scope scope(world.env.executor(), "server");
  std::shared_ptr<BodyReader> body;
  struct Talk {
    static Async<> run(RawServer& server, Event& go_on, std::string& end) {
      RawPeer peer = co_await server.accept_request();
      co_await peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
      co_await go_on.wait();
      co_await peer.send("3\r\ntwo\r\n");
      end = co_await peer.read_to_end();
      end += "closed";
    }
  };
  Event go_on;
  std::string end;
  scope.spawn("talk", Talk::run(server, go_on, end));
  OpenResponse response = co_await client->open(get("/"));
  EXPECT_EQ(response.head.status, 200);
  std::string one = co_await response.body->read_some();
  EXPECT_EQ(one, "one");
  go_on.notify_all();
  std::string two = co_await response.body->read_some();
  EXPECT_EQ(two, "two");
  response.body.reset();  // before its end
  co_await scope.join();
  EXPECT_EQ(end, "closed");
}

NET_TEST(HttpClient, OpenGivesTheConnectionBackAtTheEnd) {
  auto& server = world.serve(echo);
  auto client = world.client(server.port());
  for (int i = 0; i < 3; ++i) {
    OpenResponse response = co_await client->open(post("/", "x"));
    std::string body = co_await read_all(*response.body, 100);
    EXPECT_EQ(body, "POST / x");
    std::string more = co_await response.body->read_some();
    EXPECT_EQ(more, "");
  }
  EXPECT_EQ(server.connections(), 1u);
}

Async<> upgrade_into(std::shared_ptr<Transport> client, std::shared_ptr<std::shared_ptr<RawStream>> stream,
                     std::shared_ptr<std::optional<Error>> error) {
  std::exception_ptr failure;
  try {
    *stream = co_await client->upgrade(post("/attach", ""), "tcp");
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) *error = error_of(failure);
}

NET_TEST(HttpClient, UpgradeTakesTheConnectionWithItsFirstBytes) {
  RawServer server(world.env);
  auto client = world.client(server.port());
  for (std::string answer : {"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nfirst",
                             "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nfirst"}) {
    Scope scope(world.env.executor(), "client");
    auto stream = std::make_shared<std::shared_ptr<RawStream>>();
    auto error = std::make_shared<std::optional<Error>>();
    scope.spawn("upgrade", upgrade_into(client, stream, error));
    RawPeer peer = co_await server.accept();
    std::string request = co_await peer.read_until("\r\n\r\n");
    EXPECT_NE(request.find("Connection: Upgrade\r\nUpgrade: tcp\r\n"), std::string::npos) << request;
    co_await peer.send(answer);
    co_await scope.join();
    std::string first = co_await (*stream)->read_some();
    EXPECT_EQ(first, "first");
    co_await (*stream)->write("ping");
    co_await peer.read_until("ping");
    co_await peer.send("pong");
    std::string pong = co_await (*stream)->read_some();
    EXPECT_EQ(pong, "pong");
    peer.channel().shutdown_send();
    std::string end = co_await (*stream)->read_some();
    EXPECT_EQ(end, "");
    (*stream)->close();
    end = co_await peer.read_to_end();
    EXPECT_EQ(end, "");
  }
}

NET_TEST(HttpClient, AnUpgradedConnectionCanBeReadAfterItsInputHasEnded) {
  RawServer server(world.env);
  auto client = world.client(server.port());
  Scope scope(world.env.executor(), "client");
  auto stream = std::make_shared<std::shared_ptr<RawStream>>();
  auto error = std::make_shared<std::optional<Error>>();
  scope.spawn("upgrade", upgrade_into(client, stream, error));
  RawPeer peer = co_await server.accept_request();
  co_await peer.send("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
  co_await scope.join();
  co_await (*stream)->write("all of it");
  (*stream)->end_input();
  std::string input = co_await peer.read_to_end();
  EXPECT_EQ(input, "all of it");
  co_await peer.send("what came of it");
  std::string output = co_await (*stream)->read_some();
  EXPECT_EQ(output, "what came of it");
  (*stream)->close();
}

NET_TEST(HttpClient, UpgradeSaysWhyItWasRefused) {
  RawServer server(world.env);
  auto client = world.client(server.port());
  Scope scope(world.env.executor(), "client");
  auto stream = std::make_shared<std::shared_ptr<RawStream>>();
  auto error = std::make_shared<std::optional<Error>>();
  scope.spawn("upgrade", upgrade_into(client, stream, error));
  RawPeer peer = co_await server.accept_request();
  co_await peer.send("HTTP/1.1 404 Not Found\r\nContent-Length: 17\r\n\r\nno such container");
  co_await scope.join();
  EXPECT_TRUE(*error && (*error)->code() == ErrorCode::not_found);
  EXPECT_NE((*error)->message().find("no such container"), std::string::npos) << (*error)->message();
}

NET_TEST(HttpClient, SpeaksOverAUnixSocket) {
  auto folder = std::filesystem::temp_directory_path() / ("gantry_net_test_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  std::string path = folder / "socket";
  asio::basic_socket_acceptor<asio::local::stream_protocol, Executor> acceptor(
      world.env.executor(), asio::local::stream_protocol::endpoint(path));
  auto client = make_http_client(world.env, value_or_throw(parse_endpoint("unix://" + path)));
  Scope scope(world.env.executor(), "client");
  auto running = std::make_shared<Running>();
  scope.spawn("exchange", exchange_into(client, post("/v1/x", "body"), running));
  asio::basic_stream_socket<asio::local::stream_protocol, Executor> socket(world.env.executor());
  co_await acceptor.async_accept(socket, use_async);
  RawPeer peer(world.env, StreamSocket(std::move(socket)));
  std::string request = co_await peer.read_until("body");
  EXPECT_TRUE(request.starts_with("POST /v1/x HTTP/1.1\r\nHost: localhost\r\n")) << request;
  co_await peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  co_await scope.join();
  EXPECT_EQ(running->response->body, "ok");
  std::filesystem::remove_all(folder);
}

NET_TEST(HttpClient, CancellationClosesTheConnectionAndSparesThePool) {
  RawServer server(world.env);
  auto client = world.client(server.port());
  for (std::string answer : {"", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"}) {
    Scope scope(world.env.executor(), "client");
    auto running = std::make_shared<Running>();
    scope.spawn("exchange", exchange_into(client, get("/"), running));
    RawPeer peer = co_await server.accept_request();
    co_await peer.send(answer);
    co_await yield_now();
    scope.cancel();
    co_await scope.join();
    EXPECT_TRUE(running->error && running->error->code() == ErrorCode::cancelled);
    std::string end = co_await peer.read_to_end();
    EXPECT_EQ(end, "");
  }
  Scope scope(world.env.executor(), "client");
  auto running = std::make_shared<Running>();
  scope.spawn("exchange", exchange_into(client, get("/"), running));
  RawPeer peer = co_await server.accept_request();
  co_await peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  co_await scope.join();
  EXPECT_EQ(running->response->body, "ok");
}

NET_TEST(HttpClient, CancellationReachesTheSourceOfAStream) {
  auto& server = world.serve(echo);
  LogCapture log;  // the server's handler fails for want of a body
  bool destroyed = false;
  Scope scope(world.env.executor(), "client");
  auto running = std::make_shared<Running>();
  OutgoingRequest request = post("/", "");
  request.stream = std::make_shared<SilentBody>(destroyed);
  scope.spawn("exchange", exchange_into(world.client(server.port()), std::move(request), running));
  co_await world.until([&server] { return server.connections() == 1; });
  scope.cancel();
  co_await scope.join();
  EXPECT_TRUE(running->error && running->error->code() == ErrorCode::cancelled);
  EXPECT_TRUE(destroyed);
  co_await world.until([&server] { return server.connections() == 0; });
}

}  // namespace
}  // namespace gantry::net
