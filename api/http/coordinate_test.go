package httpapi

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/swim/coordinate"
	"concord/wire"
)

const atOrigin = `{"Vec":[0,0,0,0,0,0,0,0],"Error":1.5,"Adjustment":0,"Height":0.00001}`

func TestCoordinates(t *testing.T) {
	t.Parallel()
	found := answer([]*catalog.Coordinate{{Node: "n1", Coord: coordinate.New()}})
	none := answer([]*catalog.Coordinate{})
	maps := &wire.Response{Operator: &wire.OperatorReply{Maps: []catalog.DatacenterMap{
		{Datacenter: "dc1", AreaID: "wan", Coordinates: []catalog.Coordinate{{Node: "n1", Coord: coordinate.New()}}}}}}
	entry := `[{"Node":"n1","Segment":"","Coord":` + atOrigin + `}]`
	for _, c := range []struct {
		name, method, target, body string
		resp                       *wire.Response
		status                     int
		want                       string
	}{
		{"nodes", "GET", "/v1/coordinate/nodes", "", found, 200, entry},
		{"no nodes", "GET", "/v1/coordinate/nodes", "", none, 200, "[]"},
		{"segment", "GET", "/v1/coordinate/nodes?segment=alpha", "", found, 200, "[]"},
		{"default segment", "GET", "/v1/coordinate/nodes?segment=", "", found, 200, entry},
		{"node", "GET", "/v1/coordinate/node/n1", "", found, 200, entry},
		{"no node", "GET", "/v1/coordinate/node/n2", "", none, 404, ""},
		{"no name", "GET", "/v1/coordinate/node/", "", none, 404, ""},
		{"datacenters", "GET", "/v1/coordinate/datacenters", "", maps, 200, `[{"Datacenter":"dc1","AreaID":"wan","Coordinates":` + entry + `}]`},
		{"update", "PUT", "/v1/coordinate/update", `{"Node":"n1","Coord":` + atOrigin + `}`, &wire.Response{}, 200, ""},
		{"update without coordinate", "PUT", "/v1/coordinate/update", `{"Node":"n1"}`, nil, 500, "invalid coordinate"},
		{"update without node", "PUT", "/v1/coordinate/update", `{"Coord":` + atOrigin + `}`, nil, 500, "Must provide node"},
		{"update of other dimensions", "PUT", "/v1/coordinate/update", `{"Node":"n1","Coord":{"Vec":[1,2]}}`, nil, 500, "incompatible coordinate"},
		{"update out of bounds", "PUT", "/v1/coordinate/update", `{"Node":"n1","Coord":{"Vec":[0,0,0,0,0,0,0,1e300]}}`, nil, 500, "invalid coordinate"},
		{"update of no number", "PUT", "/v1/coordinate/update", `{"Node":"n1","Coord":{"Vec":["NaN"]}}`, nil, 400, "Request decode failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := request1(t, &fake{resp: c.resp}, c.method, c.target, c.body)
			require.Equal(t, c.status, w.Code, w.Body.String())
			if c.status == 200 {
				require.Equal(t, c.want, w.Body.String())
			} else {
				require.Contains(t, w.Body.String(), c.want)
			}
		})
	}
}

func TestCoordinatesAreRefusedWhenOff(t *testing.T) {
	t.Parallel()
	s := New(Config{Datacenter: "dc1", DisableCoordinates: true}, &fake{}, hclog.NewNullLogger())
	for _, target := range []string{"datacenters", "nodes", "node/n1"} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", "/v1/coordinate/"+target, nil))
		require.Equal(t, 401, w.Code)
		require.Equal(t, "Coordinate support disabled", w.Body.String())
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("PUT", "/v1/coordinate/update", strings.NewReader("{}")))
	require.Equal(t, 401, w.Code)
}

// What an update asks of the servers is what its body says.
func TestCoordinateUpdateIsPassedOn(t *testing.T) {
	t.Parallel()
	f := &fake{resp: &wire.Response{}}
	w := request1(t, f, "PUT", "/v1/coordinate/update", `{"Datacenter":"dc2","Node":"n","Coord":{"Vec":[1,2,3,4,5,6,7,8],"Error":0.5,"Adjustment":-0.25,"Height":0.125}}`)
	require.Equal(t, 200, w.Code, w.Body.String())
	require.Equal(t, "dc2", f.asked.Datacenter)
	require.Equal(t, &wire.Operator{Kind: wire.CoordinateUpdate, Coordinate: &catalog.Coordinate{Node: "n",
		Coord: coordinate.Coordinate{Vec: [8]float64{1, 2, 3, 4, 5, 6, 7, 8}, Error: 0.5, Adjustment: -0.25, Height: 0.125}}}, f.asked.Operator)
}

func TestNear(t *testing.T) {
	t.Parallel()
	for target, plain := range map[string]catalog.Query{
		"/v1/catalog/nodes?":           &catalog.NodesQuery{},
		"/v1/catalog/service/web?":     &catalog.ServiceNodesQuery{Service: "web"},
		"/v1/health/service/web?":      &catalog.HealthServiceQuery{Service: "web"},
		"/v1/health/checks/web?":       &catalog.ServiceChecksQuery{Service: "web"},
		"/v1/health/state/any?":        &catalog.StateChecksQuery{State: "any"},
		"/v1/catalog/nodes?stale&x=y&": &catalog.NodesQuery{},
	} {
		for param, want := range map[string]catalog.Query{"": plain, "near=": plain,
			"near=n7": &catalog.NearQuery{Query: plain, Node: "n7"}, "near=_agent": &catalog.NearQuery{Query: plain, Node: "here"}} {
			f := &fake{resp: &wire.Response{Code: wire.NoLeader}}
			s := New(Config{Datacenter: "dc1", NodeName: "here"}, f, hclog.NewNullLogger())
			s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target+param, nil))
			require.Equal(t, want, f.asked.Read.Query, target+param)
		}
	}
}
