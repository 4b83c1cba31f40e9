// What the page has: the client for browsers, as its users bundle it.
import * as taskcluster from 'taskcluster-client-web';

window.taskcluster = taskcluster;
