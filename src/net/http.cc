#include "net/http.h"

#include <array>

#include "net/text.h"

namespace gantry::net {

std::string_view method_name(Method method) {
  switch (method) {
    case Method::get: return "GET";
    case Method::head: return "HEAD";
    case Method::post: return "POST";
    case Method::put: return "PUT";
    case Method::delete_: return "DELETE";
    case Method::options: return "OPTIONS";
    case Method::patch: return "PATCH";
    case Method::other: return "OTHER";
  }
  return "OTHER";
}

Method parse_method(std::string_view text) {
  for (auto method :
       {Method::get, Method::post, Method::put, Method::head, Method::delete_, Method::options, Method::patch}) {
    if (method_name(method) == text) return method;
  }
  return Method::other;
}

void Headers::set(std::string_view name, std::string value) {
  std::erase_if(entries_, [&](const auto& entry) { return equals_ignoring_case(entry.first, name); });
  add(std::string(name), std::move(value));
}

std::string_view Headers::get(std::string_view name) const {
  for (const auto& [key, value] : entries_) {
    if (equals_ignoring_case(key, name)) return value;
  }
  return {};
}

bool Headers::has(std::string_view name) const { return count(name) > 0; }

std::size_t Headers::count(std::string_view name) const {
  std::size_t found = 0;
  for (const auto& entry : entries_) found += equals_ignoring_case(entry.first, name) ? 1 : 0;
  return found;
}

Async<std::string> read_all(BodyReader& body, std::size_t bytes_max) {
  std::string all;
  while (true) {
    std::string piece = co_await body.read_some();
    if (piece.empty()) co_return all;
    if (piece.size() > bytes_max - all.size()) {
      throw Error(ErrorCode::too_large, "the body is larger than " + std::to_string(bytes_max) + " bytes",
                  "send less at once");
    }
    body.keep(piece.size());
    if (all.empty()) {
      all = std::move(piece);
    } else {
      all += piece;
    }
  }
}

bool is_token(std::string_view text) {
  static constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  if (text.empty()) return false;
  return std::ranges::all_of(text, [](char c) {
    char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || others.find(c) != std::string_view::npos;
  });
}

std::string_view status_text(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 423: return "Locked";
    case 424: return "Failed Dependency";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Status";
  }
}

ErrorCode error_code_of_status(int status) {
  switch (status) {
    case 401: return ErrorCode::not_authenticated;
    case 403: return ErrorCode::not_authorized;
    case 404:
    case 424: return ErrorCode::not_found;  // 424: an artifact that stands for an error
    case 408:
    case 429: return ErrorCode::unavailable;
    case 409: return ErrorCode::conflict;
    case 410: return ErrorCode::expired;
    case 413: return ErrorCode::too_large;
    default: break;
  }
  if (status >= 500) return ErrorCode::unavailable;
  return status >= 400 ? ErrorCode::invalid_input : ErrorCode::internal;
}

}  // namespace gantry::net
