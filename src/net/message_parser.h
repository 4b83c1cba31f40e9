// The one parser of HTTP/1.1 bytes, for requests (server) and responses (client): Beast's basic_parser, which fills our
// own types. It holds no bytes: the caller keeps what was not used and gives it again, with more behind it.
//
// Stricter than Beast where being generous lets requests be smuggled: a transfer coding other than "chunked", both
// framings at once, and a request of HTTP/1.1 without exactly one Host are bad messages.
#pragma once

#include <boost/beast/http/basic_parser.hpp>

#include "net/http.h"

namespace gantry::net {

enum class ParseState : std::uint8_t {
  need_more,
  done,       // the header, or the body, is complete
  bad,        // reason() says why; the parser is finished
  too_large,  // the header has more than header_bytes_max bytes
};

struct Parsed {
  std::size_t used = 0;  // bytes from the front that need not be given again
  ParseState state = ParseState::need_more;
};

/// The body half of a parser, the same for both kinds of message. Valid once the header is done.
class BodyParser {
 public:
  virtual ~BodyParser() = default;
  /// Appends the content of `bytes` to `out`. Trailers are checked and dropped.
  virtual Parsed feed_body(std::string_view bytes, std::string& out) = 0;
  /// As feed_body for a body that is not chunked: all of `bytes` is content, nothing is copied.
  virtual Parsed count_body(std::string_view bytes) = 0;
  /// The peer closed the connection: done if that is how this body ends, else bad.
  virtual ParseState feed_end() = 0;
  virtual bool body_done() const = 0;
  virtual bool body_is_chunked() const = 0;
  /// Bytes that are still to come, -1 if that is not known.
  virtual std::int64_t body_bytes_left() const = 0;
};

template <bool is_request>
class MessageParser final : private boost::beast::http::basic_parser<is_request>, public BodyParser {
  using Base = boost::beast::http::basic_parser<is_request>;

 public:
  explicit MessageParser(std::size_t header_bytes_max);

  Parsed feed_header(std::string_view bytes);
  /// Before the header: there is no body whatever the header says (an answer to HEAD).
  void expect_no_body() { Base::skip(true); }

  Parsed feed_body(std::string_view bytes, std::string& out) override;
  Parsed count_body(std::string_view bytes) override;
  ParseState feed_end() override;
  bool body_done() const override { return Base::is_done(); }
  bool body_is_chunked() const override { return Base::chunked(); }
  std::int64_t body_bytes_left() const override;

  // Valid once the header is done.
  bool keep_alive() const { return Base::keep_alive(); }
  /// As declared; -1 if there is a body of unknown length, 0 if there is none.
  std::int64_t content_length() const;
  bool is_http11() const { return http11_; }
  bool expects_continue() const { return expects_continue_; }
  /// An Expect header that asks for something we do not know (answer 417).
  bool expects_unknown() const { return expects_unknown_; }
  std::string_view reason() const { return reason_; }

  Method method = Method::get;  // requests
  std::string target;           // requests
  int status = 0;               // responses
  Headers headers;

 private:
  using Code = boost::beast::error_code;
  using Text = boost::beast::string_view;

  void on_request_impl(boost::beast::http::verb verb, Text name, Text path, int version, Code& error) override;
  void on_response_impl(int code, Text reason, int version, Code& error) override;
  void on_field_impl(boost::beast::http::field field, Text name, Text value, Code& error) override;
  void on_header_impl(Code& error) override;
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
  std::size_t on_body_impl(Text bytes, Code& error) override;
  void on_chunk_header_impl(std::uint64_t, Text, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t left, Text bytes, Code& error) override;
  void on_finish_impl(Code&) override {}

  Parsed feed_body_to(std::string_view bytes, std::string* out);
  Parsed failed(std::size_t used, const Code& error);

  std::size_t header_bytes_left_;
  std::string* out_ = nullptr;  // during feed_body
  std::string reason_;
  int hosts_ = 0;
  bool in_header_ = true;
  bool http11_ = false;
  bool expects_continue_ = false;
  bool expects_unknown_ = false;
};

using RequestParser = MessageParser<true>;
using ResponseParser = MessageParser<false>;

extern template class MessageParser<true>;
extern template class MessageParser<false>;

}  // namespace gantry::net
