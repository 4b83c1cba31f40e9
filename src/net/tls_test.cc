#include "net/tls.h"

#include <fstream>

#include <openssl/ssl.h>

#include "net/test_world.h"
#include "net/testing/certificates.h"

namespace gantry::net {
namespace {

Async<Response> echo(Request request) {
  std::string body = co_await read_all(*request.body, 64 << 20);
  Response response = text_response(body.empty() ? "hello" : std::move(body));
  response.headers.add("X-Peer", request.peer);
  response.headers.add("X-Encrypted", request.encrypted ? "yes" : "no");
  co_return response;
}

OutgoingRequest get(std::string target) {
  OutgoingRequest request;
  request.target = std::move(target);
  return request;
}

std::shared_ptr<const TlsContext> server_context(const TestAuthority::Files& files) {
  return make_tls_server(files.certificate, files.key);
}

HttpServer& serve_tls(World& world, const TestAuthority::Files& files,
                      std::function<Async<Response>(Request)> function = echo, ServerLimits limits = {}) {
  HttpServer& server = world.serve(std::move(function), limits);
  server.use_tls(server_context(files));
  return server;
}

Endpoint endpoint_of(int port, std::string ca, std::string host = "localhost") {
  Endpoint endpoint = value_or_throw(parse_endpoint("https://" + host + ":" + std::to_string(port)));
  endpoint.tls_files.ca = std::move(ca);
  return endpoint;
}

std::shared_ptr<Transport> client_of(World& world, int port, std::string ca, std::string host = "localhost") {
  return make_http_client(world.env, endpoint_of(port, std::move(ca), std::move(host)));
}

/// What a client that believes `authority` makes of a server with these files.
Async<Error> refusal(World& world, TestAuthority& authority, TestAuthority::Files files,
                     std::string host = "localhost") {
  HttpServer& server = serve_tls(world, files);
  co_return co_await error_from(client_of(world, server.port(), authority.file(), host)->exchange(get("/")));
}

void expect_says(const Error& error, std::string_view message, std::string_view hint) {
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_NE(error.message().find(message), std::string::npos) << error.message();
  EXPECT_NE(error.hint().find(hint), std::string::npos) << error.hint();
}

NET_TEST(Tls, ExchangesAndKeepsTheConnection) {
  TestAuthority authority;
  HttpServer& server = serve_tls(world, authority.issue());
  auto client = client_of(world, server.port(), authority.file());
  IncomingResponse first = co_await client->exchange(get("/"));
  IncomingResponse second = co_await client->exchange(get("/"));
  EXPECT_EQ(first.body, "hello");
  EXPECT_EQ(first.headers.get("X-Encrypted"), "yes");
  EXPECT_EQ(first.headers.get("X-Peer"), second.headers.get("X-Peer"));
  auto by_address = client_of(world, server.port(), authority.file(), "127.0.0.1");
  IncomingResponse third = co_await by_address->exchange(get("/"));
  EXPECT_EQ(third.status, 200);
}

NET_TEST(Tls, LargeBodiesGoBothWays) {
  TestAuthority authority;
  HttpServer& server = serve_tls(world, authority.issue());
  auto client = client_of(world, server.port(), authority.file());
  for (std::size_t bytes : {std::size_t{16 * 1024}, std::size_t{16 * 1024 + 1}, std::size_t{7'000'001}}) {
    OutgoingRequest request = get("/");
    request.method = Method::post;
    for (std::size_t i = 0; i < bytes; ++i) request.body += static_cast<char>('a' + i % 23);
    std::string sent = request.body;
    IncomingResponse response = co_await client->exchange(std::move(request));
    EXPECT_EQ(response.body.size(), bytes);
    EXPECT_TRUE(response.body == sent);
    OutgoingRequest streamed = get("/");
    streamed.method = Method::put;
    streamed.stream = std::make_shared<CountedBody>(bytes);
    response = co_await client->exchange(std::move(streamed));
    EXPECT_EQ(response.body.size(), bytes);
  }
}

Async<Response> stream_much(Request) {
  Response response;
  response.stream = std::make_shared<CountedBody>(3'000'000);
  co_return response;
}

NET_TEST(Tls, StreamedAnswersArriveWhole) {
  TestAuthority authority;
  HttpServer& server = serve_tls(world, authority.issue(), stream_much);
  auto client = client_of(world, server.port(), authority.file());
  for (int i = 0; i < 3; ++i) {
    OpenResponse response = co_await client->open(get("/"));
    std::string body = co_await read_all(*response.body, 64 << 20);
    EXPECT_EQ(body.size(), 3'000'000u);
  }
}

struct WatchedCall {
  bool asked = false;
  bool gone = false;
};

NET_TEST(Tls, AHandlerLearnsThatItsClientHasGone) {
  TestAuthority authority;
  auto call = std::make_shared<WatchedCall>();
  Env* env = &world.env;
  std::function<Async<Response>(Request)> wait = [call, env](Request request) {
    return [](std::shared_ptr<WatchedCall> seen, Env* clock, Request asked) -> Async<Response> {
      asked.peer_watch->on_gone([seen] { seen->gone = true; });
      seen->asked = true;
      while (!seen->gone) co_await clock->sleep(milliseconds(1));
      co_return text_response("late");
    }(call, env, std::move(request));
  };
  HttpServer& server = serve_tls(world, authority.issue(), wait);
  auto client = client_of(world, server.port(), authority.file());
  OutgoingRequest request = get("/");
  request.timeout = milliseconds(300);
  Error error = co_await error_from(client->exchange(std::move(request)));
  EXPECT_EQ(error.code(), ErrorCode::deadline_exceeded);
  co_await world.until([call] { return call->gone; });
  EXPECT_TRUE(call->asked);
}

NET_TEST(Tls, SaysWhyACertificateIsNotBelieved) {
  TestAuthority authority;
  TestAuthority stranger;
  LogCapture log;  // the server warns of its expired certificate
  Error error = co_await refusal(world, authority, authority.issue({.from_s = -7200, .until_s = -3600}));
  expect_says(error, "the server's certificate expired on 20", "renew it");
  error = co_await refusal(world, authority, authority.issue({.from_s = 3600, .until_s = 7200}));
  expect_says(error, "is valid only from 20", "clock");
  error = co_await refusal(world, authority, authority.issue({.self_signed = true}));
  expect_says(error, "not from an authority that this machine knows", "--tls-ca FILE or $GANTRY_CA");
  error = co_await refusal(world, authority, stranger.issue());
  expect_says(error, "not from an authority", "--tls-ca");
  error = co_await refusal(world, authority, authority.issue({.names = "DNS:other.example,IP:10.1.2.3"}));
  expect_says(error, "is for other.example, 10.1.2.3, not for localhost", "use one of the certificate's names");
  error = co_await refusal(world, authority, authority.issue({.names = "DNS:localhost"}), "127.0.0.1");
  expect_says(error, "is for localhost, not for 127.0.0.1", "use one of");
  EXPECT_EQ(log.lines.size(), 1u);
}

NET_TEST(Tls, TheSystemsAuthoritiesAreTheDefault) {
  TestAuthority authority;
  HttpServer& server = serve_tls(world, authority.issue());
  Error error = co_await error_from(client_of(world, server.port(), "")->exchange(get("/")));
  expect_says(error, "not from an authority", "--tls-ca");
}

NET_TEST(Tls, PlainAndTlsDoNotMix) {
  TestAuthority authority;
  HttpServer& secure = serve_tls(world, authority.issue());
  IncomingResponse told = co_await world.client(secure.port())->exchange(get("/"));
  EXPECT_EQ(told.status, 400);
  EXPECT_NE(told.body.find("use https://"), std::string::npos) << told.body;
  HttpServer& plain = world.serve(echo);
  Error error = co_await error_from(client_of(world, plain.port(), authority.file())->exchange(get("/")));
  expect_says(error, "does not speak TLS", "use http://");
}

NET_TEST(Tls, SlowHandshakesMakeRoomAndEnd) {
  TestAuthority authority;
  ServerLimits limits;
  limits.handshakes_max = 3;
  limits.handshake_timeout = milliseconds(400);
  HttpServer& server = serve_tls(world, authority.issue(), echo, limits);
  std::vector<RawPeer> silent;
  for (int i = 0; i < 10; ++i) {
    silent.push_back(co_await RawPeer::connect(world.env, server.port()));
    if (i % 2 == 0) co_await silent.back().send(std::string("\x16\x03\x01", 3));  // the beginning of a handshake
  }
  auto client = client_of(world, server.port(), authority.file());
  IncomingResponse response = co_await client->exchange(get("/"));
  EXPECT_EQ(response.status, 200);
  for (RawPeer& peer : silent) co_await peer.read_to_end();
}

NET_TEST(Tls, NonsenseEndsTheConnection) {
  TestAuthority authority;
  HttpServer& server = serve_tls(world, authority.issue());
  for (std::string bytes : {std::string(200, '\0'), std::string("\x16\x03\x01\xff\xff") + std::string(70'000, 'x'),
                            std::string("\x16\x03\x01\x00\x02\x01\x00", 7), std::string("\x80\x2e\x01\x00\x02", 5)}) {
    RawPeer peer = co_await RawPeer::connect(world.env, server.port());
    co_await peer.send(bytes);
    peer.channel().shutdown_send();
    co_await peer.read_to_end();
  }
  co_await world.until([&server] { return server.connections() == 0; });
}

NET_TEST(Tls, ACertificateIsReplacedWhileConnectionsGoOn) {
  TestAuthority old_authority;
  TestAuthority new_authority;
  HttpServer& server = serve_tls(world, old_authority.issue());
  auto old_client = client_of(world, server.port(), old_authority.file());
  IncomingResponse before = co_await old_client->exchange(get("/"));
  server.use_tls(server_context(new_authority.issue()));
  IncomingResponse after = co_await old_client->exchange(get("/"));
  EXPECT_EQ(before.headers.get("X-Peer"), after.headers.get("X-Peer"));
  IncomingResponse fresh = co_await client_of(world, server.port(), new_authority.file())->exchange(get("/"));
  EXPECT_EQ(fresh.status, 200);
  Error error = co_await error_from(client_of(world, server.port(), old_authority.file())->exchange(get("/")));
  expect_says(error, "not from an authority", "--tls-ca");
}

/// A TLS server that says what the test tells it to.
class RawTlsServer {
 public:
  RawTlsServer(Env& env, std::shared_ptr<const TlsContext> context)
      : env_(env),
        context_(std::move(context)),
        acceptor_(env.executor(), asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {}
  int port() const { return acceptor_.local_endpoint().port(); }

  /// Reads a request's header, answers `bytes`, then ends properly or just closes.
  Async<> answer_one(std::string bytes, bool properly) {
    asio::basic_stream_socket<asio::ip::tcp, Executor> socket(env_.executor());
    co_await acceptor_.async_accept(socket, use_async);
    RawPeer peer(env_, StreamSocket(std::move(socket)));
    peer.channel().accept_tls(context_);
    IoError error = co_await peer.channel().handshake();
    if (error) co_return;
    co_await peer.read_until("\r\n\r\n");
    co_await peer.send(bytes);
    if (properly) peer.channel().say_end();
    peer.close();
  }

  /// Takes a connection over and sends back what comes, until the client ends.
  Async<> echo_raw(std::shared_ptr<IoError> end) {
    asio::basic_stream_socket<asio::ip::tcp, Executor> socket(env_.executor());
    co_await acceptor_.async_accept(socket, use_async);
    RawPeer peer(env_, StreamSocket(std::move(socket)));
    peer.channel().accept_tls(context_);
    IoError error = co_await peer.channel().handshake();
    if (!error) co_await peer.read_until("\r\n\r\n");
    if (!error) co_await peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n");
    while (!error) {
      BodyPiece piece = co_await peer.channel().read_piece(1 << 16);
      error = piece.error;
      if (!error) co_await peer.send(std::move(piece.bytes));
    }
    *end = error;
  }

 private:
  Env& env_;
  std::shared_ptr<const TlsContext> context_;
  asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor_;
};

NET_TEST(Tls, ACutIsNotTakenForAnEnd) {
  TestAuthority authority;
  RawTlsServer server(world.env, server_context(authority.issue()));
  auto client = client_of(world, server.port(), authority.file());
  Scope scope(world.env.executor(), "raw server");
  const std::string until_close = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf of it";
  scope.spawn("answer", server.answer_one(until_close, true));
  IncomingResponse whole = co_await client->exchange(get("/"));
  EXPECT_EQ(whole.body, "half of it");
  scope.spawn("answer", server.answer_one(until_close, false));
  Error error = co_await error_from(client->exchange(get("/")));
  expect_says(error, "cut off", "");
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
  for (bool properly : {true, false}) {
    scope.spawn("answer", server.answer_one(chunked, properly));
    error = co_await error_from(client->exchange(get("/")));
    EXPECT_EQ(error.code(), ErrorCode::unavailable) << error.message();
  }
  co_await scope.join();
}

NET_TEST(Tls, ConnectionsAreTakenOver) {
  TestAuthority authority;
  RawTlsServer server(world.env, server_context(authority.issue()));
  auto client = client_of(world, server.port(), authority.file());
  Scope scope(world.env.executor(), "raw server");
  auto end = std::make_shared<IoError>();
  scope.spawn("echo", server.echo_raw(end));
  auto stream = co_await client->upgrade(get("/attach"), "tcp");
  std::string sent(300'000, 'y');
  co_await stream->write(sent);
  std::string got;
  while (got.size() < sent.size()) got += co_await stream->read_some();
  EXPECT_EQ(got, sent);
  stream->close();
  co_await scope.join();
  EXPECT_EQ(*end, asio::error::eof) << end->message();
}

NET_TEST(Tls, AServerMayAskForAClientCertificate) {
  TestAuthority authority;
  TestAuthority::Files own = authority.issue({.names = "DNS:client"});
  auto context = server_context(authority.issue());
  SSL_CTX_load_verify_file(context->native(), authority.file().c_str());
  SSL_CTX_set_verify(context->native(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  HttpServer& server = world.serve(echo);
  server.use_tls(context);
  Endpoint endpoint = endpoint_of(server.port(), authority.file());
  Error error = co_await error_from(make_http_client(world.env, endpoint)->exchange(get("/")));
  expect_says(error, "certificate required", "");
  endpoint.tls_files.certificate = own.certificate;
  endpoint.tls_files.key = own.key;
  IncomingResponse response = co_await make_http_client(world.env, endpoint)->exchange(get("/"));
  EXPECT_EQ(response.status, 200);
}

/// The error of making a context.
template <class Make>
Error error_of_making(Make make) {
  try {
    make();
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorCode::internal, "no error");
}

TEST(TlsContext, SaysWhichFileIsWrong) {
  TestAuthority authority;
  auto one = authority.issue();
  auto other = authority.issue();
  std::string nothing = authority.directory() + "/nothing.pem";
  std::string text = authority.directory() + "/text.pem";
  std::ofstream(text) << "not PEM\n";
  Error error = error_of_making([&] { make_tls_server(nothing, one.key); });
  EXPECT_EQ(error.code(), ErrorCode::not_found);
  EXPECT_NE(error.message().find(nothing), std::string::npos);
  error = error_of_making([&] { make_tls_server(text, one.key); });
  EXPECT_NE(error.message().find("text.pem holds no certificate"), std::string::npos) << error.message();
  error = error_of_making([&] { make_tls_server(one.certificate, text); });
  EXPECT_NE(error.message().find("text.pem holds no key"), std::string::npos) << error.message();
  error = error_of_making([&] { make_tls_server(one.certificate, other.key); });
  EXPECT_NE(error.message().find("is not the one of"), std::string::npos) << error.message();
  error = error_of_making([&] { make_tls_client({.ca = text, .certificate = {}, .key = {}}); });
  EXPECT_NE(error.message().find("text.pem holds no certificates"), std::string::npos) << error.message();
  error = error_of_making([&] { make_tls_client({.ca = {}, .certificate = one.certificate, .key = {}}); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_input);
}

}  // namespace
}  // namespace gantry::net
