// The oracle of ../protocols without TLS, built beside it: HTTP/2 by prior knowledge.
package main

import (
	"net/http"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

func init() {
	clear = func(h http.Handler) http.Handler { return h2c.NewHandler(h, &http2.Server{}) }
}
