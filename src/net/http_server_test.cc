#include "net/http_server.h"

#include "net/limits.h"
#include "net/test_world.h"

namespace gantry::net {
namespace {

const std::string hello = "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";

Async<Response> say_target(Request request) { co_return text_response(request.target); }
Async<Response> echo(Request request) {
  std::string body = co_await read_all(*request.body, 1 << 20);
  co_return text_response(std::string(method_name(request.method)) + " " + body);
}
Async<Response> ignore_body(Request) { co_return text_response("early", 413); }

std::string body_of(const std::string& message) { return message.substr(message.find("\r\n\r\n") + 4); }
int status_of(const std::string& message) { return std::stoi(message.substr(9, 3)); }

ServerLimits short_limits() {
  ServerLimits limits;
  limits.header_timeout = limits.idle_timeout = limits.body_stall_timeout = limits.write_stall_timeout =
      milliseconds(60);
  return limits;
}

/// What a handler that waits has seen.
struct Waiting {
  Event answer;
  bool entered = false;
  bool gone = false;
  bool finished = false;
  int undelivered = 0;
};

Async<Response> wait_for_answer(std::shared_ptr<Waiting> waiting, Request request, bool watch) {
  if (watch) {
    request.peer_watch->on_gone([waiting] {
      waiting->gone = true;
      waiting->answer.notify_all();
    });
  }
  waiting->entered = true;
  co_await waiting->answer.wait();
  waiting->finished = true;
  Response response = text_response("answered");
  response.undelivered = [waiting] { ++waiting->undelivered; };
  co_return response;
}

auto waiting_handler(std::shared_ptr<Waiting> waiting, bool watch = true) {
  return [waiting, watch](Request request) { return wait_for_answer(waiting, std::move(request), watch); };
}

NET_TEST(HttpServer, AnswersAndKeepsTheConnection) {
  auto& server = world.serve(say_target);
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  for (std::string target : {"/a?b=%20c", "/second"}) {
    co_await peer.send("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n");
    std::string response = co_await peer.read_until(target);
    EXPECT_TRUE(response.starts_with("HTTP/1.1 200 OK\r\nDate: ")) << response;
    EXPECT_EQ(body_of(response), target);
  }
  EXPECT_EQ(server.connections(), 1u);
}

NET_TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  auto& server = world.serve(say_target);
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  std::string all;
  for (int i = 0; i < 100; ++i) all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
  co_await peer.send(all);
  for (int i = 0; i < 100; ++i) {
    std::string response = co_await peer.read_until("\r\n\r\n/" + std::to_string(i));
    EXPECT_EQ(status_of(response), 200);
  }
}

NET_TEST(HttpServer, ReadsBodiesHoweverTheyCome) {
  auto& server = world.serve(echo);
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  for (std::string request : {
           "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
       }) {
    for (std::size_t step : {request.size(), std::size_t{1}}) {
      for (std::size_t at = 0; at < request.size(); at += step) {
        co_await peer.send(request.substr(at, step));
        co_await yield_now();
      }
      std::string response = co_await peer.read_until("POST hello");
      EXPECT_EQ(body_of(response), "POST hello");
    }
  }
}

NET_TEST(HttpServer, HeadHasTheHeaderOnly) {
  auto& server = world.serve(say_target);
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  co_await peer.send("HEAD /four HTTP/1.1\r\nHost: h\r\n\r\n" + hello);
  std::string head = co_await peer.read_until("\r\n\r\n");
  EXPECT_NE(head.find("Content-Length: 5\r\n"), std::string::npos);
  std::string next = co_await peer.read_until("/hello");
  EXPECT_TRUE(next.starts_with("HTTP/1.1 200")) << next;
}

NET_TEST(HttpServer, ClosesWhenTheClientWantsItOrIsOld) {
  auto& server = world.serve(say_target);
  for (std::string request : {"GET /x HTTP/1.0\r\n\r\n", "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"}) {
    RawPeer peer = co_await RawPeer::connect(world.env, server.port());
    co_await peer.send(request);
    std::string response = co_await peer.read_to_end();
    EXPECT_NE(response.find("Connection: close\r\n"), std::string::npos) << response;
    EXPECT_EQ(body_of(response), "/x");
  }
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  co_await peer.send("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  std::string kept = co_await peer.read_until("\r\n\r\n/x");
  EXPECT_NE(kept.find("Connection: keep-alive\r\n"), std::string::npos) << kept;
}

NET_TEST(HttpServer, RefusesBadRequestsAndCloses) {
  auto& server = world.serve(say_target);
  struct Case {
    std::string request;
    int status;
  };
  for (const auto& [request, status] : std::vector<Case>{
           {"nonsense\r\n\r\n", 400},
           {"GET / HTTP/1.1\r\n\r\n", 400},
           {"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 400},
           {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
           {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
           {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 2\r\n\r\n", 400},
           {"POST / HTTP/1.1\r\nHost: h\r\nExpect: wonders\r\n\r\n", 417},
           {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n", 431},
           {"GET /" + std::string(40'000, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n", 431},
           {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(40'000, 'x'), 431},
       }) {
    RawPeer peer = co_await RawPeer::connect(world.env, server.port());
    co_await peer.send(request);
    std::string response = co_await peer.read_until("}");
    EXPECT_EQ(status_of(response), status) << request.substr(0, 80);
    EXPECT_NE(response.find("{\"code\":\"invalid-input\",\"message\":\""), std::string::npos) << response;
    std::string rest = co_await peer.read_to_end();
    EXPECT_EQ(rest, "");
  }
}

NET_TEST(HttpServer, TellsTheHandlerThatABodyIsBroken) {
  auto& server = world.serve(echo);
  LogCapture log;
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  co_await peer.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
  std::string response = co_await peer.read_to_end();
  EXPECT_EQ(status_of(response), 500);  // this handler lets the error through
  EXPECT_NE(response.find("Connection: close"), std::string::npos);
}

NET_TEST(HttpServer, SendsContinueWhenTheBodyIsWanted) {
  auto& server = world.serve(echo);
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
  co_await peer.send(head);
  std::string interim = co_await peer.read_until("\r\n\r\n");
  EXPECT_EQ(interim, "HTTP/1.1 100 Continue\r\n\r\n");
  co_await peer.send("hello" + head + "world");  // a client need not wait for it
  std::string first = co_await peer.read_until("POST hello");
  std::string second = co_await peer.read_until("POST world");
  EXPECT_TRUE(second.starts_with("HTTP/1.1 200")) << second;
}

NET_TEST(HttpServer, DoesNotSendContinueForABodyNobodyReads) {
  auto& server = world.serve(ignore_body);
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  co_await peer.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  std::string response = co_await peer.read_until("early");
  EXPECT_EQ(status_of(response), 413);
  EXPECT_NE(response.find("Connection: close"), std::string::npos);
}

NET_TEST(HttpServer, DrainsASmallUnreadBodyAndClosesAfterALargeOne) {
  auto& server = world.serve(ignore_body);
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ";
  for (int i = 0; i < 2; ++i) {
    co_await peer.send(head + "60000\r\n\r\n");
    std::string response = co_await peer.read_until("early");
    EXPECT_EQ(response.find("Connection: close"), std::string::npos);
    co_await peer.send(std::string(60'000, 'x'));
  }
  co_await peer.send(head + "100000\r\n\r\n" + std::string(100'000, 'x'));
  std::string response = co_await peer.read_to_end();
  EXPECT_EQ(body_of(response), "early");
  EXPECT_NE(response.find("Connection: close"), std::string::npos);

  RawPeer chunked = co_await RawPeer::connect(world.env, server.port());
  co_await chunked.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n30D40\r\n" +
                        std::string(200'000, 'x') + "\r\n0\r\n\r\n");
  std::string closed = co_await chunked.read_to_end();
  EXPECT_EQ(body_of(closed), "early");
}

Async<Response> count_body(Request request) {
  std::size_t bytes = 0;
  while (true) {
    std::string piece = co_await request.body->read_some();
    EXPECT_LE(piece.size(), read_piece_bytes_max);
    if (piece.empty()) break;
    bytes += piece.size();
  }
  Response response;
  response.stream = std::make_shared<CountedBody>(bytes);
  if (request.target == "/length") response.stream_bytes = static_cast<std::int64_t>(bytes);
  co_return response;
}

NET_TEST(HttpServer, StreamsBigBodiesBothWays) {
  auto& server = world.serve(count_body);
  auto client = world.client(server.port());
  constexpr std::size_t size = 50'000'000;
  for (bool chunked : {false, true}) {
    OutgoingRequest request;
    request.method = Method::put;
    request.target = chunked ? "/chunked" : "/length";
    request.stream = std::make_shared<CountedBody>(size);
    request.stream_bytes = chunked ? -1 : static_cast<std::int64_t>(size);
    OpenResponse response = co_await client->open(std::move(request));
    EXPECT_EQ(response.head.headers.has("Transfer-Encoding"), chunked);
    std::size_t bytes = 0;
    while (true) {
      std::string piece = co_await response.body->read_some();
      if (piece.empty()) break;
      bytes += piece.size();
    }
    EXPECT_EQ(bytes, size);
  }
  EXPECT_EQ(server.connections(), 1u) << "the client used its connection again";
}

NET_TEST(HttpServer, ClosesSlowConnections) {
  ServerLimits limits = short_limits();
  limits.idle_timeout = seconds(60);
  auto& server = world.serve(say_target, limits);
  RawPeer slow = co_await RawPeer::connect(world.env, server.port());
  co_await slow.send("GET / HTTP/1.1\r\nHost: ");
  std::string nothing = co_await slow.read_to_end();
  EXPECT_EQ(nothing, "");

  limits = short_limits();
  limits.header_timeout = seconds(60);
  auto& impatient = world.serve(say_target, limits);
  RawPeer idle = co_await RawPeer::connect(world.env, impatient.port());
  co_await idle.send(hello);
  std::string response = co_await idle.read_to_end();
  EXPECT_EQ(body_of(response), "/hello");
}

Async<Response> remember_error(std::shared_ptr<std::optional<Error>> seen, Request request) {
  std::exception_ptr failure;
  try {
    co_await read_all(*request.body, 1 << 20);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) *seen = error_of(failure);
  co_return text_response("");
}

NET_TEST(HttpServer, BodyThatStallsOrBreaksOffFailsTheRead) {
  auto seen = std::make_shared<std::optional<Error>>();
  auto& server = world.serve([seen](Request r) { return remember_error(seen, std::move(r)); }, short_limits());
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  co_await peer.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
  std::string nothing = co_await peer.read_to_end();
  EXPECT_EQ(nothing, "");
  EXPECT_TRUE(*seen && (*seen)->code() == ErrorCode::deadline_exceeded);

  seen->reset();
  RawPeer gone = co_await RawPeer::connect(world.env, server.port());
  co_await gone.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
  gone.close();
  co_await world.until([seen] { return seen->has_value(); });
  EXPECT_EQ((*seen)->code(), ErrorCode::unavailable);
}

Async<Response> keep_body(std::shared_ptr<Request> kept, Request request) {
  *kept = std::move(request);
  co_return text_response("kept");
}

NET_TEST(HttpServer, BodyAndWatchMayOutliveTheRequest) {
  auto kept = std::make_shared<Request>();
  auto& server = world.serve([kept](Request r) { return keep_body(kept, std::move(r)); });
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  co_await peer.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
  co_await peer.read_until("kept");
  for (bool closed : {false, true}) {
    if (closed) {
      peer.close();
      co_await world.until([&server] { return server.connections() == 0; });
    }
    std::exception_ptr failure;
    try {
      co_await kept->body->read_some();
    } catch (...) {
      failure = std::current_exception();
    }
    EXPECT_TRUE(failure && error_of(failure).code() == ErrorCode::unavailable);
    kept->peer_watch->on_gone([] { ADD_FAILURE() << "the request is over"; });
  }
}

Async<Response> throw_error(Request) {
  throw Error(ErrorCode::internal, "a secret detail");
  co_return Response();
}

NET_TEST(HttpServer, HandlerThatThrowsIs500) {
  LogCapture log;
  auto& server = world.serve(throw_error);
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  co_await peer.send(hello);
  std::string response = co_await peer.read_until("}");
  EXPECT_EQ(status_of(response), 500);
  EXPECT_EQ(response.find("secret"), std::string::npos);
  EXPECT_EQ(log.lines.size(), 1u);
  EXPECT_NE(log.lines.at(0).find("a secret detail"), std::string::npos);
}

NET_TEST(HttpServer, LongPollLearnsThatItsClientIsGone) {
  for (std::string behind : {"", "GET /pipelined HTTP/1.1\r\nHost: h\r\n\r\n"}) {
    auto waiting = std::make_shared<Waiting>();
    auto& server = world.serve(waiting_handler(waiting));
    RawPeer peer = co_await RawPeer::connect(world.env, server.port());
    co_await peer.send(hello + behind);
    co_await world.until([waiting] { return waiting->entered; });
    EXPECT_FALSE(waiting->gone);
    peer.close();
    co_await world.until([waiting] { return waiting->undelivered == 1; });
    EXPECT_TRUE(waiting->gone);
    co_await world.until([&server] { return server.connections() == 0; });
  }
}

NET_TEST(HttpServer, PipelinedBytesDoNotLookLikeAGoneClient) {
  auto waiting = std::make_shared<Waiting>();
  auto& server = world.serve(waiting_handler(waiting));
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  co_await peer.send(hello);
  co_await world.until([waiting] { return waiting->entered; });
  co_await peer.send(hello);
  for (int i = 0; i < 100; ++i) co_await yield_now();  // the server gets every chance to see them
  EXPECT_FALSE(waiting->gone);
  for (int i = 0; i < 2; ++i) {
    co_await world.until([waiting] { return waiting->answer.waiting() == 1; });
    waiting->answer.notify_all();
    co_await peer.read_until("answered");
  }
  EXPECT_EQ(waiting->undelivered, 0);
}

NET_TEST(HttpServer, ReportsAnAnswerThatNobodyTakes) {
  auto waiting = std::make_shared<Waiting>();
  auto& server = world.serve(waiting_handler(waiting, false));
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  co_await peer.send(hello);
  co_await world.until([waiting] { return waiting->entered; });
  peer.close();
  co_await yield_now();
  waiting->answer.notify_all();
  co_await world.until([waiting] { return waiting->finished; });
  co_await world.until([&server] { return server.connections() == 0; });
  EXPECT_EQ(waiting->undelivered, 1);
}

/// A log that is followed: one line, then silence until it is told otherwise.
struct FollowedLog : BodyReader {
  explicit FollowedLog(std::shared_ptr<Waiting> w) : waiting(std::move(w)) {}
  ~FollowedLog() override { waiting->finished = true; }
  Async<std::string> read_some() override {
    if (!std::exchange(waiting->entered, true)) co_return "line 1\n";
    co_await waiting->answer.wait();
    co_return std::string();
  }
  std::shared_ptr<Waiting> waiting;
};

Async<Response> follow(std::shared_ptr<Waiting> waiting) {
  Response response;
  response.stream = std::make_shared<FollowedLog>(waiting);
  response.undelivered = [waiting] { ++waiting->undelivered; };
  co_return response;
}

NET_TEST(HttpServer, StreamEndsWhenItsReaderLeaves) {
  auto waiting = std::make_shared<Waiting>();
  auto& server = world.serve([waiting](Request) { return follow(waiting); });
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  co_await peer.send(hello);
  co_await peer.read_until("7\r\nline 1\n\r\n");
  co_await world.until([waiting] { return waiting->answer.waiting() == 1; });
  EXPECT_FALSE(waiting->finished);
  peer.close();
  co_await world.until([waiting] { return waiting->finished; });
  co_await world.until([&server] { return server.connections() == 0; });
  EXPECT_EQ(waiting->undelivered, 1);
}

NET_TEST(HttpServer, StreamIsCompleteWhenItsSourceEnds) {
  auto waiting = std::make_shared<Waiting>();
  auto& server = world.serve([waiting](Request) { return follow(waiting); });
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  co_await peer.send(hello);
  co_await world.until([waiting] { return waiting->answer.waiting() == 1; });
  waiting->answer.notify_all();
  std::string response = co_await peer.read_until("0\r\n\r\n");
  EXPECT_EQ(body_of(response), "7\r\nline 1\n\r\n0\r\n\r\n");
  EXPECT_EQ(waiting->undelivered, 0);
  EXPECT_EQ(server.connections(), 1u);
}

Async<Response> stream_of(std::int64_t declared, std::size_t real) {
  Response response;
  response.stream = std::make_shared<CountedBody>(real);
  response.stream_bytes = declared;
  co_return response;
}

NET_TEST(HttpServer, StreamThatDoesNotKeepItsLengthClosesTheConnection) {
  LogCapture log;
  auto& server = world.serve([](Request request) { return stream_of(10, request.target == "/short" ? 5 : 50'001); });
  for (std::string target : {"/short", "/long"}) {
    RawPeer peer = co_await RawPeer::connect(world.env, server.port());
    co_await peer.send("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n");
    std::string response = co_await peer.read_to_end();
    EXPECT_LT(body_of(response).size(), 10u);
  }
  EXPECT_EQ(log.lines.size(), 2u);
}

NET_TEST(HttpServer, OldClientGetsAStreamUntilTheConnectionEnds) {
  auto& server = world.serve([](Request) { return stream_of(-1, 120'000); });
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  co_await peer.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  std::string response = co_await peer.read_to_end();
  EXPECT_EQ(body_of(response), std::string(120'000, 'x'));
}

Async<Response> say_much(std::shared_ptr<Waiting> waiting) {
  Response response = text_response(std::string(100'000'000, 'x'));
  response.undelivered = [waiting] { ++waiting->undelivered; };
  co_return response;
}

NET_TEST(HttpServer, GivesUpOnAClientThatDoesNotRead) {
  auto waiting = std::make_shared<Waiting>();
  auto& server = world.serve([waiting](Request) { return say_much(waiting); }, short_limits());
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  co_await peer.send(hello);
  co_await world.until([waiting] { return waiting->undelivered == 1; });
  co_await world.until([&server] { return server.connections() == 0; });
}

NET_TEST(HttpServer, StopLetsAnAnswerFinish) {
  auto waiting = std::make_shared<Waiting>();
  auto& server = world.serve(waiting_handler(waiting));
  RawPeer idle = co_await RawPeer::connect(world.env, server.port());
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  co_await peer.send(hello);
  co_await world.until([waiting] { return waiting->entered; });
  Scope scope(world.env.executor(), "stop");
  scope.spawn("stop", server.stop(test_patience));
  std::string end = co_await idle.read_to_end();
  EXPECT_EQ(scope.size(), 1u);
  waiting->answer.notify_all();
  std::string response = co_await peer.read_to_end();
  EXPECT_EQ(body_of(response), "answered");
  EXPECT_NE(response.find("Connection: close"), std::string::npos);
  co_await scope.join();
}

NET_TEST(HttpServer, StopCancelsWhatOutlastsItsGrace) {
  auto waiting = std::make_shared<Waiting>();
  auto& server = world.serve(waiting_handler(waiting));
  auto streaming = std::make_shared<Waiting>();
  auto& logs = world.serve([streaming](Request) { return follow(streaming); });
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  RawPeer reader = co_await RawPeer::connect(world.env, logs.port());
  co_await peer.send(hello);
  co_await reader.send(hello);
  co_await world.until([&] { return waiting->entered && streaming->answer.waiting() == 1; });
  co_await server.stop(milliseconds(1));
  co_await logs.stop(milliseconds(1));
  EXPECT_FALSE(waiting->finished);
  EXPECT_TRUE(streaming->finished);
  EXPECT_EQ(server.connections(), 0u);
  EXPECT_EQ(logs.connections(), 0u);
  std::string nothing = co_await peer.read_to_end();
  EXPECT_EQ(nothing, "");
}

Async<Response> send_back(Request request) {
  Response response;
  response.stream = request.body;
  response.stream_bytes = request.content_length;
  co_return response;
}

NET_TEST(HttpServer, AResponseMayStreamItsRequest) {
  auto& server = world.serve(send_back);
  RawPeer peer = co_await RawPeer::connect(world.env, server.port());
  for (int i = 0; i < 2; ++i) {
    co_await peer.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60001\r\n\r\n" + std::string(60'000, 'x') + "!");
    std::string response = co_await peer.read_until("!");
    EXPECT_EQ(body_of(response).size(), 60'001u);
  }
}

}  // namespace
}  // namespace gantry::net
