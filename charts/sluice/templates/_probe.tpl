{{- /* An httpGet. Without a host the kubelet asks the pod's address, which is the node's. */ -}}
{{- define "sluice.probe" -}}
{{- $root := index . 0 -}}
path: {{ index . 1 }}
port: metrics
{{- if ne $root.Values.metrics.listen "NodeAddress" }}
host: 127.0.0.1
{{- end }}
{{- end -}}
